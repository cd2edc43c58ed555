package metrics

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// other stands for everything beyond the closed lists and the limit.
const other = "other"

func newRequests() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gatehouse_requests_total",
		Help: "Requests by how they ended at the front door; reason is set for invalid_token only.",
	}, []string{"resource", "outcome", "reason"})
}

func newDurations() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "gatehouse_verification_duration_seconds",
		Help: "Time the verifier took to judge a token, accepted or not, waiting for keys included.",
		// A warm signature check takes tens of microseconds, a fetch of keys up
		// to seconds: the classic buckets span both.
		Buckets: []float64{
			0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.025, 0.1, 0.5, 1, 5,
		},
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  100,
		NativeHistogramMinResetDuration: time.Hour,
	}, []string{"resource", "issuer"})
}

// label makes value fit for a label: the client library panics on invalid UTF-8.
func label(value string) string { return strings.ToValidUTF8(value, "\uFFFD") }
