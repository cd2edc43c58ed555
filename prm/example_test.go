package prm_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/gatehouse-mcp/gatehouse/prm"
)

func ExampleNew() {
	doc, err := prm.New(prm.Metadata{
		Resource:             "https://mcp.example.com/mcp",
		AuthorizationServers: []string{"https://login.example.com"},
		ScopesSupported:      []string{"files:read"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle(doc.Path(), doc)

	recorder := httptest.NewRecorder()
	mux.ServeHTTP(recorder, httptest.NewRequest("GET", doc.URL(), nil))
	fmt.Println(doc.URL())
	fmt.Println(recorder.Code, recorder.Body)
	// Output:
	// https://mcp.example.com/.well-known/oauth-protected-resource/mcp
	// 200 {"resource":"https://mcp.example.com/mcp","authorization_servers":["https://login.example.com"],"scopes_supported":["files:read"],"bearer_methods_supported":["header"]}
}

func ExampleMetadata_Validate() {
	err := prm.Metadata{
		Resource:             "http://mcp.example.com/mcp",
		AuthorizationServers: []string{"https://login.example.com/.well-known/openid-configuration"},
		ScopesSupported:      []string{"offline_access"},
	}.Validate()
	fmt.Println(err)
	// Output:
	// prm: Resource: "http://mcp.example.com/mcp" must use https; http is for loopback only
	// prm: AuthorizationServers[0]: "https://login.example.com/.well-known/openid-configuration" is the URL of a metadata document; write the issuer that it names
	// prm: ScopesSupported[0]: "offline_access" is between client and authorization server and does not belong here
}
