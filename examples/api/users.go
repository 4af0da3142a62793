package main

import (
	"cmp"

	"golang.org/x/crypto/bcrypt"
)

// users are the demo users and the bcrypt hashes of their passwords, which are
// those of examples/login.
var users = map[string]string{
	"ada":   "$2a$10$PRRwNNQZTO7y3Gbkz7XdneXv/ScQCfV3fh7AvVFjThKRdddg08Zc2",
	"grace": "$2a$10$n6fZ2tDObm9juZzJA8bCF.haZ/kMiek0/YhKiBPeTI./kkf5UIFA2",
}

// nobody is the hash of a password that nobody has: an unknown name takes as long
// as a wrong password.
const nobody = "$2a$10$NRs/Zk3R8CK.FlsivZAvQ..J4k8nNQHdKkiyBuZ49a/e6Q./qL9Dq"

func passwordIs(name, password string) bool {
	hash := cmp.Or(users[name], nobody)
	return bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
}
