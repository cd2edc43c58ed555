package main

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// The comparison is fair only if everybody does the whole job.
func TestEveryContenderDoesTheSameJob(t *testing.T) {
	i, err := newIssuer()
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	for _, algorithm := range algorithms {
		for _, c := range append(contenders(), gatehouseCold()) {
			t.Run(algorithm+"/"+strings.ReplaceAll(c.name, "/", "_"), func(t *testing.T) {
				ran := false
				h, err := c.protect(i, algorithm, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					ran = true
					w.WriteHeader(accepted)
				}))
				if err != nil {
					t.Fatal(err)
				}
				for _, test := range jobs(t, i, algorithm) {
					ran = false
					status := newReply().serve(h, newRequest(test.token))
					if ran != test.passes || (status == accepted) != test.passes {
						t.Errorf("%s: status %d, handler ran: %v, want %v", test.name, status, ran, test.passes)
					}
				}
			})
		}
	}
}

type job struct {
	name, token string
	passes      bool
}

func jobs(t *testing.T, i *issuer, algorithm string) []job {
	t.Helper()
	all := []job{{name: "no token"}}
	for _, test := range []struct {
		name   string
		spec   spec
		passes bool
	}{
		{"valid", spec{}, true},
		{"another valid one", spec{id: "another"}, true},
		{"expired", spec{lifetime: -time.Hour}, false},
		{"another audience", spec{audience: "https://other.example.com/mcp"}, false},
		{"another issuer", spec{issuer: i.tenant(1)}, false},
		{"another scope", spec{scope: "files:write"}, false},
	} {
		token, err := i.mint(algorithm, test.spec)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, job{test.name, token.text, test.passes})
	}
	hostile, err := i.hostileTokens(algorithm)
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range hostile {
		all = append(all, job{name: token.name, token: token.text})
	}
	return all
}

func TestTokensAreOfTheSizeThatIsPromised(t *testing.T) {
	i, err := newIssuer()
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	for _, algorithm := range algorithms {
		token, err := i.mint(algorithm, spec{})
		if err != nil {
			t.Fatal(err)
		}
		if size := len(token.text); size < tokenSize-20 || size > tokenSize+20 {
			t.Errorf("%s: %d octets, want about %d", algorithm, size, tokenSize)
		}
		if !i.bareCheck(algorithm, token)() {
			t.Errorf("%s: the bare check refuses a good signature", algorithm)
		}
		token.signature[5] ^= 1
		if i.bareCheck(algorithm, token)() {
			t.Errorf("%s: the bare check accepts a bad signature", algorithm)
		}
	}
}
