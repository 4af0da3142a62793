package session

// A Tokener is a [Session] that knows the token of its client.
type Tokener interface {
	// Token returns the token that the client carries from now on. It is empty if this
	// Session was loaded by its id, and not made, opened or rotated. It is a secret: put
	// it only into a response.
	Token() string
}

// Token returns the token that the client of s carries, or the id if s is no [Tokener]. If
// s is nil, Token returns "".
func Token(s Session) string {
	if s == nil {
		return ""
	}
	if t, ok := unwrap[Tokener](s); ok {
		return t.Token()
	}
	return s.ID()
}
