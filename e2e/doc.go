// Package e2e drives examples/login in a real browser. It has tests only, in a
// module of its own, so that nobody who uses package session downloads a
// browser's driver.
//
//	go test -C e2e -count=1 ./...
//
// The tests need Chromium and never skip. TestDeviceBound needs one with Device Bound
// Session Credentials, such as 156. What the browser showed when a test failed is in
// e2e/artifacts.
package e2e
