package sql

import "time"

// Statements returns the statements that the store sends.
func (st *Store) Statements() (sent []string, err error) {
	err = st.Check()
	for o := range opCount {
		text := st.statements[o].text
		if o == opSweepPicked || o == opSweepPickedUsers {
			text += ")"
			if !st.dialect.sweepsInTwoSteps {
				text = ""
			}
		}
		if text != "" {
			sent = append(sent, text)
		}
	}
	return sent, err
}

// CleanUpFor lets the store take d to remove a session that may have begun, and to sweep
// after a call.
func (st *Store) CleanUpFor(d time.Duration) { st.cleanup = d }

// Skip makes the store believe that it has made n sessions more.
func (st *Store) Skip(n uint32) { st.calls.Add(n) }
