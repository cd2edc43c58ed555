package fetch

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

// maxErrorBody bounds what is read of an answer that is an error.
const maxErrorBody = 4 << 10

// An Answer is the answer to Post, with status 200.
type Answer struct {
	// MediaType is the Content-Type without its parameters, in lower case; empty
	// where there is none.
	MediaType string
	// Body is the answer, at most MaxBody octets.
	Body []byte
}

// An OAuthError is an answer with an error code (RFC 6749 §5.2). The *StatusError
// in it is found with errors.As.
type OAuthError struct {
	// StatusError is the answer without its code.
	StatusError
	// Code is a registered error code, never other text of the server's.
	Code string
	// Suberror and Claims are what Microsoft Entra ID says beside it, as it came:
	// empty where there is no such string. They may repeat what was sent.
	Suberror, Claims string
}

// Error names the status and the code.
func (e *OAuthError) Error() string { return e.StatusError.Error() + " " + e.Code }

// Unwrap returns the *StatusError.
func (e *OAuthError) Unwrap() error { return &e.StatusError }

// NewPool returns NewClient(transport), except that a transport of its own keeps
// and opens as many connections to a host as calls are made at a time.
func NewPool(transport http.RoundTripper, calls int) *Client {
	client := NewClient(transport)
	if own, ok := client.transport.(*http.Transport); ok && transport == nil {
		own.MaxIdleConns, own.MaxIdleConnsPerHost, own.MaxConnsPerHost = calls, calls, calls
	}
	return client
}

// Post sends form to address. header is sent as well, and changed. It fails with
// a *StatusError for any status but 200, as an *OAuthError where the body has a
// code. Nothing is sent twice: what is in form is for this address only, which a
// redirect would not respect. ctx must carry a deadline.
func (c *Client) Post(ctx context.Context, address string, header http.Header, form url.Values) (*Answer, error) {
	if err := CheckURL(address); err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, errors.New("not a URL")
	}
	if header != nil {
		request.Header = header
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := c.do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, failure(response)
	}
	body, err := read(response)
	if err != nil {
		return nil, err
	}
	mediaType, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err != nil {
		mediaType = ""
	}
	return &Answer{MediaType: mediaType, Body: body}, nil
}

// failure describes an answer that is not 200.
func failure(response *http.Response) error {
	status := StatusError{Status: response.StatusCode, RetryAfter: retryAfter(response.Header)}
	if response.StatusCode < 400 || response.StatusCode > 499 {
		return &status
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxErrorBody))
	var answer struct {
		Code     string           `json:"error"`
		Suberror strictjson.Value `json:"suberror"`
		Claims   strictjson.Value `json:"claims"`
	}
	// Text that is no registered code could repeat what was sent.
	if err != nil || strictjson.Object(body, &answer) != nil || !slices.Contains(errorCodes(), answer.Code) {
		return &status
	}
	coded := &OAuthError{StatusError: status, Code: answer.Code}
	_ = strictjson.Unmarshal(answer.Suberror, &coded.Suberror)
	_ = strictjson.Unmarshal(answer.Claims, &coded.Claims)
	return coded
}

// errorCodes lists what token and introspection endpoints may say: RFC 6749
// §5.2, RFC 6750 §3.1, RFC 7009 §2.2.1, RFC 8693 §2.2.2 and OpenID Connect Core 1.0 §3.1.2.6.
func errorCodes() []string {
	return []string{
		"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client",
		"unsupported_grant_type", "invalid_scope", "invalid_token", "insufficient_scope",
		"invalid_target", "access_denied", "interaction_required", "login_required",
		"consent_required", "temporarily_unavailable", "unsupported_token_type",
	}
}

// IsJSON reports whether a media type, as in Answer, is JSON (RFC 6839 §3.1).
func IsJSON(mediaType string) bool {
	return mediaType == "application/json" || strings.HasPrefix(mediaType, "application/") && strings.HasSuffix(mediaType, "+json")
}
