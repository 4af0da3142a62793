package main

import (
	"cmp"

	"golang.org/x/crypto/bcrypt"
)

// users has the demo users of examples/login and the bcrypt hashes of their passwords.
var users = map[string]string{
	"ada":   "$2a$10$PRRwNNQZTO7y3Gbkz7XdneXv/ScQCfV3fh7AvVFjThKRdddg08Zc2",
	"grace": "$2a$10$n6fZ2tDObm9juZzJA8bCF.haZ/kMiek0/YhKiBPeTI./kkf5UIFA2",
}

// nobody is the hash of an unknown password. The check of an unknown name compares
// with it, so it takes as long as the check of a wrong password.
const nobody = "$2a$10$NRs/Zk3R8CK.FlsivZAvQ..J4k8nNQHdKkiyBuZ49a/e6Q./qL9Dq"

func passwordIs(name, password string) bool {
	hash := cmp.Or(users[name], nobody)
	return bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
}
