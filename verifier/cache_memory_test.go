package verifier_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// What is remembered is not enough to present a token again: the signature, decoded,
// must not lie behind the claims.
func TestCacheKeepsNoSignature(t *testing.T) {
	w, _ := counted(t)
	// The complement, so that this test is not where the bytes are found.
	hidden := func() []byte {
		token := w.token(nil)
		lent(t, func() *verifier.Token { return w.accept(token) })
		signature, err := base64.RawURLEncoding.DecodeString(token[strings.LastIndexByte(token, '.')+1:])
		if err != nil {
			t.Fatal(err)
		}
		for i := range signature {
			signature[i] ^= 0xff
		}
		return signature
	}()
	runtime.GC()
	runtime.GC() // pools keep what is in them for one cycle more
	name := filepath.Join(t.TempDir(), "heap")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	debug.WriteHeapDump(file.Fd())
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}

	heap, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for i := range hidden {
		hidden[i] ^= 0xff
	}
	if bytes.Contains(heap, hidden[:32]) {
		t.Error("the signature of a remembered token is in memory")
	}
	if !bytes.Contains(heap, []byte(`"files:read`)) {
		t.Error("the dump has no claims: it shows nothing")
	}
	runtime.KeepAlive(w)
}
