package session

// A Tokener is a [Session] that knows the token of its client.
type Tokener interface {
	// Token returns what the client carries from now on. It is empty unless
	// this Session was made, opened or rotated: one that was loaded by its id
	// has none. It is a secret: it goes into a response and nowhere else.
	Token() string
}

// Token returns what the client of s carries: its token, or its id where s is
// no [Tokener]. It is empty for no session.
func Token(s Session) string {
	if s == nil {
		return ""
	}
	if t, ok := unwrap[Tokener](s); ok {
		return t.Token()
	}
	return s.ID()
}
