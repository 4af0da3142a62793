//go:build !race

package sealed

const raced = false
