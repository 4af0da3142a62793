package main

import (
	"maps"
	"sync"

	"golang.org/x/crypto/bcrypt"
)

// demo has the demo users and the bcrypt hashes of their passwords. The login page shows
// the names and the passwords.
var demo = map[string]string{
	"ada":   "$2a$10$PRRwNNQZTO7y3Gbkz7XdneXv/ScQCfV3fh7AvVFjThKRdddg08Zc2",
	"grace": "$2a$10$n6fZ2tDObm9juZzJA8bCF.haZ/kMiek0/YhKiBPeTI./kkf5UIFA2",
}

// nobody is the hash of an unknown password.
const nobody = "$2a$10$NRs/Zk3R8CK.FlsivZAvQ..J4k8nNQHdKkiyBuZ49a/e6Q./qL9Dq"

// cost is the bcrypt cost of the hashes above.
var cost = bcrypt.DefaultCost

// users keeps the users. A real site has them in its database.
type users struct {
	mu     sync.RWMutex
	hashes map[string]string
}

func newUsers() *users { return &users{hashes: maps.Clone(demo)} }

// passwordIs reports whether name is a user with that password. It takes as long for an
// unknown name as for a wrong password, so that its duration does not tell which names
// exist. A real site also limits the number of attempts.
func (u *users) passwordIs(name, password string) bool {
	u.mu.RLock()
	hash, known := u.hashes[name]
	u.mu.RUnlock()
	if !known {
		hash = nobody
	}
	right := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
	return known && right
}

// setPassword changes the password of a user.
func (u *users) setPassword(name, password string) error {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.hashes[name] = string(hash)
	return nil
}
