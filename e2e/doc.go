// Package e2e drives examples/login in a real browser. It has tests only, in a
// module of its own, so that nobody who uses package session downloads a
// browser's driver.
//
//	go test -C e2e -count=1 ./...
//
// The tests need Chromium and never skip. TestDeviceBound needs one with Device Bound
// Session Credentials, such as 156. The folder e2e/artifacts has the last page of every
// test that failed, and all pages of the example. The README's picture is one of them:
//
//	go test -C e2e -count=1 -run TestPages && cp e2e/artifacts/desktop-devices.png docs/
package e2e
