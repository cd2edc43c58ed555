package metrics_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/gatehouse-mcp/gatehouse/metrics"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/verifier"
	"github.com/prometheus/client_golang/prometheus"
)

func Example() {
	registry := prometheus.NewRegistry()
	observed := metrics.New(metrics.Config{Resources: []string{"https://mcp.example.com/mcp"}})
	registry.MustRegister(observed)

	guard, err := middleware.New(middleware.Config{
		Metadata: prm.Metadata{
			Resource:             "https://mcp.example.com/mcp",
			AuthorizationServers: []string{"https://login.example.com"},
		},
		Verifier: verifier.Func(func(context.Context, string) (*verifier.Token, error) {
			return nil, &verifier.InvalidTokenError{Reason: verifier.ReasonExpired}
		}),
		Observe: observed.Observe,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	request := httptest.NewRequest(http.MethodPost, "https://mcp.example.com/mcp", nil)
	request.Header.Set("Authorization", "Bearer old")
	guard.Require("files:read")(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), request)

	families, err := registry.Gather()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if metric.GetCounter().GetValue() == 0 {
				continue
			}
			fmt.Println(family.GetName())
			for _, label := range metric.GetLabel() {
				fmt.Printf("  %s=%s\n", label.GetName(), label.GetValue())
			}
		}
	}
	// Output:
	// gatehouse_requests_total
	//   outcome=invalid_token
	//   reason=expired
	//   resource=https://mcp.example.com/mcp
	//   scheme=bearer
}
