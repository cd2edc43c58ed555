package middleware_test

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/middleware"
)

// Frame types and flags of HTTP/2 (RFC 9113 §6).
const (
	frameData     = 0x0
	frameHeaders  = 0x1
	frameReset    = 0x3
	frameSettings = 0x4
	frameGoAway   = 0x7
	endStream     = 0x1
	endHeaders    = 0x4
)

func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	head := make([]byte, 9)
	binary.BigEndian.PutUint32(head, uint32(len(payload))<<8)
	head[3], head[4] = kind, flags
	binary.BigEndian.PutUint32(head[5:], stream)
	return append(head, payload...)
}

// literals encodes "name: value" fields as HPACK literals, never indexed and
// without Huffman coding (RFC 7541 §6.2.3), which lets any byte through.
func literals(fields []string) []byte {
	var block []byte
	text := func(s string) {
		if len(s) < 127 {
			block = append(block, byte(len(s)))
		} else { // RFC 7541 §5.1; enough for 16 KiB
			n := len(s) - 127
			block = append(block, 127)
			for ; n >= 128; n >>= 7 {
				block = append(block, byte(n)|0x80)
			}
			block = append(block, byte(n))
		}
		block = append(block, s...)
	}
	for _, field := range fields {
		i := strings.Index(field[1:], ": ") + 1 // a pseudo-header starts with a colon
		block = append(block, 0x10)
		text(field[:i])
		text(field[i+2:])
	}
	return block
}

// Requests that no Go client can send. What counts is whether they reach the
// front door, and what it decides.
func TestHTTP2(t *testing.T) {
	const bearer = "authorization: Bearer " + good
	wr := newWire(t, func(s *httptest.Server) {
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetUnencryptedHTTP2(true)
		s.Start()
	})
	head := func(fields ...string) []string {
		return append([]string{":method: POST", ":scheme: http", ":path: /mcp", ":authority: h"}, fields...)
	}
	for _, tt := range []struct {
		name   string
		fields []string
		want   middleware.Outcome // "": it never gets that far
	}{
		{"a good request", head(bearer), middleware.OutcomeAllowed},
		{"HT-01 none", head(), middleware.OutcomeUnauthenticated},
		{"HT-02 two fields", head(bearer, "authorization: Bearer "+bad), middleware.OutcomeInvalidRequest},
		{"HT-07 blanks that HTTP/2 keeps", head("authorization:   Bearer " + good + " "), middleware.OutcomeAllowed},
		{"HT-07 tabs that HTTP/2 keeps", head("authorization: \tBearer " + good + "\t"), middleware.OutcomeAllowed},
		{"HT-06 blanks alone", head("authorization:    "), middleware.OutcomeUnauthenticated},
		{"HT-08 a tab", head("authorization: Bearer\t" + good), middleware.OutcomeInvalidRequest},
		{"HT-25 no authority", []string{":method: POST", ":scheme: http", ":path: /mcp", bearer}, middleware.OutcomeAllowed},
		{"HT-27 authority and host differ", head("host: evil.example", bearer), middleware.OutcomeAllowed},
		{"HT-27 authority with quotes", []string{":method: POST", ":scheme: http", ":path: /mcp", `:authority: a"b`}, middleware.OutcomeUnauthenticated},
		{"HT-35 a method with a path", []string{":method: POST /x", ":scheme: http", ":path: /mcp", ":authority: h"}, middleware.OutcomeUnauthenticated},
		{"HT-35 lower case", []string{":method: options", ":scheme: http", ":path: /mcp", ":authority: h"}, middleware.OutcomeUnauthenticated},
		{"HT-56 an upper-case name", head("Authorization: Bearer " + good), ""},
		{"HT-56 connection", head("connection: close", bearer), ""},
		{"HT-56 te", head("te: gzip", bearer), ""},
		{"HT-56 pseudo after regular", []string{":method: POST", bearer, ":scheme: http", ":path: /mcp"}, ""},
		{"HT-56 two paths", head(":path: /public", bearer), ""},
		{"HT-56 CRLF in a value", head("x: a\r\nauthorization: Bearer " + good), ""},
		{"HT-56 NUL in a value", head(bearer + "\x00"), ""},
		{"HT-61 a path without a slash", []string{":method: POST", ":scheme: http", ":path: mcp", ":authority: h", bearer}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wr.saw()
			text := "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + string(frame(frameSettings, 0, 0, nil)) +
				string(frame(frameHeaders, endStream|endHeaders, 1, literals(tt.fields)))
			conn, in := wr.send(t, text)
			answered := readAnswer(t, conn, in)
			outcomes, ran := wr.saw()
			switch {
			case tt.want == "" && (len(outcomes) > 0 || len(ran) > 0):
				t.Errorf("it reached the front door: %v, %q", outcomes, ran)
			case tt.want != "" && (!answered || len(outcomes) != 1 || outcomes[0] != tt.want):
				t.Errorf("answered %t, outcomes %v, want %s", answered, outcomes, tt.want)
			case (len(ran) == 1) != (tt.want == middleware.OutcomeAllowed):
				t.Errorf("the handler ran for %q", ran)
			}
		})
	}
}

// readAnswer waits for the end of stream 1 and reports whether it was answered
// and not reset.
func readAnswer(t *testing.T, conn net.Conn, in *bufio.Reader) bool {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 9)
	for {
		if _, err := io.ReadFull(in, head); err != nil {
			return false
		}
		size := binary.BigEndian.Uint32(head) >> 8
		if _, err := in.Discard(int(size)); err != nil {
			return false
		}
		stream := binary.BigEndian.Uint32(head[5:]) & 0x7fffffff
		switch kind, flags := head[3], head[4]; {
		case kind == frameGoAway, kind == frameReset && stream == 1:
			return false
		case (kind == frameHeaders || kind == frameData) && stream == 1 && flags&endStream != 0:
			return true
		}
	}
}
