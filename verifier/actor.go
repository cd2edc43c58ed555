package verifier

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"

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
	outermost, next, ok := oneActor(claim)
	if !ok {
		return nil, false
	}
	for next != nil {
		var earlier Actor
		if earlier, next, ok = oneActor(next); !ok {
			return nil, false
		}
		outermost.Earlier = append(outermost.Earlier, earlier)
	}
	return &outermost, true
}

// oneActor reads the outermost actor. next is the act inside it, a part of claim.
func oneActor(claim strictjson.Value) (a Actor, next strictjson.Value, ok bool) {
	reader := strictjson.NewReader(claim, strictjson.MaxDepth)
	members, err := reader.Members()
	ok = true
	for err == nil {
		var name, value []byte
		var more bool
		if name, more, err = members.Next(); err != nil || !more {
			break
		}
		member := string(name)
		if value, err = reader.Value(); err != nil {
			break
		}
		fits := true
		switch member {
		case "iss":
			a.Issuer, fits = text(value)
		case "sub":
			a.Subject, fits = text(value)
		case "client_id":
			a.ClientID, fits = text(value)
		case "act":
			next = value
		}
		ok = ok && fits
	}
	ok = ok && err == nil && (a.Subject != "" || a.ClientID != "") &&
		identifier(a.Issuer) && identifier(a.Subject) && identifier(a.ClientID)
	return a, next, ok
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
	named, _, ok := oneActor(c.MayAct)
	return named, ok
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
