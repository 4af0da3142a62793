package main

import "golang.org/x/crypto/bcrypt"

// users are the demo users and the bcrypt hashes of their passwords, which the
// login page shows.
var users = map[string]string{
	"ada":   "$2a$10$PRRwNNQZTO7y3Gbkz7XdneXv/ScQCfV3fh7AvVFjThKRdddg08Zc2",
	"grace": "$2a$10$n6fZ2tDObm9juZzJA8bCF.haZ/kMiek0/YhKiBPeTI./kkf5UIFA2",
}

// nobody is the hash of a password that nobody has.
const nobody = "$2a$10$NRs/Zk3R8CK.FlsivZAvQ..J4k8nNQHdKkiyBuZ49a/e6Q./qL9Dq"

// passwordIs reports whether name is a user with that password. It takes as long
// for an unknown name as for a wrong password, so that nobody learns by the
// clock which names exist. (A real site also limits how often one may try.)
func passwordIs(name, password string) bool {
	hash, known := users[name]
	if !known {
		hash = nobody
	}
	right := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
	return known && right
}
