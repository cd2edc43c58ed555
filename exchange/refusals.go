package exchange

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

// maxRefusal bounds what is read of a refusal: beyond it, internal/fetch finds no
// code either.
const maxRefusal = 4 << 10

// A refusal is what Microsoft Entra ID says beside the code.
type refusal struct {
	claims      string
	interaction bool
}

type refusalKey struct{}

// refusals is the transport to the token endpoint. It reads along where a request
// is refused, because internal/fetch keeps nothing of a body but its code.
type refusals struct{ next http.RoundTripper }

// withRefusal returns a context for a request, and where its refusal will be.
func withRefusal(ctx context.Context) (context.Context, *refusal) {
	r := new(refusal)
	return context.WithValue(ctx, refusalKey{}, r), r
}

func (t refusals) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(request)
	found, ok := request.Context().Value(refusalKey{}).(*refusal)
	if err != nil || !ok || response == nil || response.Body == nil || response.StatusCode < 400 || response.StatusCode > 499 {
		return response, err
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxRefusal))
	if err != nil {
		text = nil
	}
	found.read(text)
	response.Body = &reread{bytes.NewReader(text), response.Body}
	return response, nil
}

// reread is a body whose beginning was read already.
type reread struct {
	io.Reader
	io.Closer
}

// read takes what it knows, and nothing else: the rest of such an answer may
// repeat what was sent.
func (r *refusal) read(text []byte) {
	var answer struct {
		Suberror string `json:"suberror"`
		Claims   string `json:"claims"`
	}
	if strictjson.Object(text, &answer) != nil {
		return
	}
	var object map[string]strictjson.Value
	if strictjson.Object([]byte(answer.Claims), &object) == nil {
		r.claims = answer.Claims
	}
	switch answer.Suberror {
	case "basic_action", "additional_action", "consent_required":
		r.interaction = true
	}
	r.interaction = r.interaction || r.claims != ""
}
