package verifier

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"

	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

// An Actor is who acts for the subject of a token (RFC 8693 §4.1), for example a
// server that exchanged its user's token. It prints, logs and marshals redacted.
// Treat it as immutable.
type Actor struct {
	// Issuer says where Subject is known. Empty: at the token's own issuer.
	Issuer string
	// Subject names the actor; empty where the provider names only ClientID.
	Subject string
	// ClientID is the actor's OAuth client, where the provider says it.
	ClientID string
	// Earlier are those who acted before, the latest first. They are history: RFC
	// 8693 §4.1 forbids to decide by them.
	Earlier []Actor
}

// actor reads act. ok is false for anything but an object that names somebody:
// whoever judges actors must not take such a token for the user's own. The reader
// of the claims has bounded the depth.
func actor(claim strictjson.Value) (*Actor, bool) {
	if claim == nil {
		return nil, true
	}
	reader := strictjson.NewReader(claim, strictjson.MaxDepth)
	chain, ok := readActors(&reader, nil)
	if !ok || reader.End() != nil {
		return nil, false
	}
	outermost := chain[0]
	outermost.Earlier = slices.Clip(chain[1:])
	if len(outermost.Earlier) == 0 {
		outermost.Earlier = nil
	}
	return &outermost, true
}

// readActors reads the next value, an actor, and those inside it, and appends
// them to chain, the outermost first.
func readActors(r *strictjson.Reader, chain []Actor) (_ []Actor, ok bool) {
	at := len(chain)
	chain = append(chain, Actor{})
	members, err := r.Members()
	for err == nil {
		var name []byte
		var more bool
		if name, more, err = members.Next(); err != nil || !more {
			break
		}
		var words *string
		switch string(name) {
		case "act":
			if chain, ok = readActors(r, chain); !ok {
				return nil, false
			}
			continue
		case "iss":
			words = &chain[at].Issuer
		case "sub":
			words = &chain[at].Subject
		case "client_id":
			words = &chain[at].ClientID
		}
		var value []byte
		if value, err = r.Value(); err == nil && words != nil {
			if *words, ok = text(value); !ok {
				return nil, false
			}
		}
	}
	a := chain[at]
	return chain, err == nil && (a.Subject != "" || a.ClientID != "") &&
		identifier(a.Issuer) && identifier(a.Subject) && identifier(a.ClientID)
}

// MayAct returns who may act for the subject (RFC 8693 §4.4), and false where the
// token does not say, or says it in no form that can be read. It is advice for the
// authorization server that exchanges the token, and no sign that anybody acts.
func (t *Token) MayAct() (Actor, bool) {
	var c struct {
		MayAct strictjson.Value `json:"may_act"`
	}
	if t.Claims(&c) != nil || c.MayAct == nil {
		return Actor{}, false
	}
	named, ok := actor(c.MayAct)
	if !ok {
		return Actor{}, false
	}
	return *named, true
}

const redactedActor = "verifier.Actor(redacted)"

// String returns a constant.
func (a Actor) String() string { return redactedActor }

// Format writes a constant, whatever the verb.
func (a Actor) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redactedActor) }

// LogValue returns a constant, for log/slog.
func (a Actor) LogValue() slog.Value { return slog.StringValue(redactedActor) }

// MarshalJSON returns a constant.
func (a Actor) MarshalJSON() ([]byte, error) { return json.Marshal(redactedActor) }
