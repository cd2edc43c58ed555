package clientauth_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/gatehouse-mcp/gatehouse/clientauth"
)

func ExampleSecretBasic() {
	auth := clientauth.SecretBasic("mcp-server", "correct horse")
	header := http.Header{}
	if err := auth.Apply(context.Background(), header, url.Values{}, "https://login.example.com"); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(header.Get("Authorization"))
	fmt.Println(auth)
	// Output:
	// Basic bWNwLXNlcnZlcjpjb3JyZWN0K2hvcnNl
	// clientauth.Method(client_secret_basic)
}
