//go:build !race

package sealed_test

const raceDetector = false
