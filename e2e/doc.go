// Package e2e drives examples/login in a real browser. It has tests only. It is a module
// of its own, so users of package session do not download the driver of a browser.
//
//	go test -C e2e -count=1 ./...
//
// The tests need Chromium and never skip. TestDeviceBound needs a Chromium with Device
// Bound Session Credentials, such as 156. The folder e2e/artifacts has the last page of every
// test that failed, and all pages of the example. The README's picture is one of them:
//
//	go test -C e2e -count=1 -run TestPages && cp e2e/artifacts/desktop-devices.png docs/
package e2e
