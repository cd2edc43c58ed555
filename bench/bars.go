package main

import (
	"fmt"
	"math"
	"strings"
)

// A bar is a limit that this project sets itself. Ratios are medians of the
// ratios within one round.
type bar struct {
	name  string
	value float64
	limit float64
	least bool // limit is a lower bound
	unit  string
	note  string
}

func (b bar) holds() bool {
	if math.IsNaN(b.value) || math.IsInf(b.value, 0) {
		return false
	}
	if b.least {
		return b.value >= b.limit
	}
	return b.value <= b.limit
}

func bars(rs results, tails []latency, m memory) []bar {
	var all []bar
	all = append(all, warmBars(rs)...)
	all = append(all, introspectedBars(rs)...)
	all = append(all, coldBars(rs)...)
	all = append(all, refusalBars(rs)...)
	all = append(all, coreBars(rs)...)
	all = append(all, scaleBars(rs)...)
	for _, t := range tails {
		if t.situation != "quiet" {
			all = append(all, bar{
				name: fmt.Sprintf("p99 over quiet, %s tokens: %s", t.tokens, t.situation), value: t.ratio, limit: 1.5, unit: "×",
			})
		}
	}
	if m.tokens > 0 {
		// What is bounded was full long before half time. A tenth and two MiB are
		// the noise of a heap.
		all = append(all, bar{
			name:  fmt.Sprintf("heap growth in the second half of %d distinct valid tokens", m.tokens),
			value: m.whole - m.half, limit: max(m.half, 0)/10 + 2, unit: " MiB",
			note: fmt.Sprintf("%.1f MiB after half of them", m.half),
		})
	}
	return all
}

// fastest returns the smallest ratio of a peer to k on one core, and that peer.
func fastest(rs results, k, less key) (float64, string) {
	best, name := math.Inf(1), ""
	for _, c := range peers() {
		peer := key{k.group, c.name, 1}
		if !rs.has(peer) {
			continue
		}
		if ratio := rs.ratio(peer, k, less); ratio < best {
			best, name = ratio, c.name
		}
	}
	return best, name
}

// warmBars compare what is added to the bare handler.
func warmBars(rs results) []bar {
	var all []bar
	handler := key{general, handlerName, 1}
	for _, want := range []struct {
		algorithm string
		times     float64
	}{{"RS256", 25}, {"ES256", 50}} {
		ratio, peer := fastest(rs, key{want.algorithm, warmName, 1}, handler)
		all = append(all, bar{
			name:  want.algorithm + " warm: fastest peer over Gatehouse, bare handler taken off",
			value: ratio, limit: want.times, least: true, unit: "×", note: peer,
		})
	}
	for _, algorithm := range algorithms {
		all = append(all, bar{
			name: algorithm + " warm: allocations", value: rs.allocations(key{algorithm, warmName, 1}), limit: 10,
		})
	}
	return all
}

// faster is by how much a ratio must exceed one to be more than noise.
const faster = 1.02

func coldBars(rs results) []bar {
	limits := map[string]float64{"RS256": 1.25, "ES256": 1.15, "EdDSA": 1.15}
	var all []bar
	for _, algorithm := range algorithms {
		cold := key{algorithm, coldName, 1}
		ratio, peer := fastest(rs, cold, key{})
		all = append(all,
			bar{
				name:  algorithm + " cold: fastest peer over Gatehouse",
				value: ratio, limit: faster, least: true, unit: "×", note: peer,
			},
			bar{
				name:  algorithm + " cold: Gatehouse over the bare signature check",
				value: rs.ratio(cold, key{algorithm, bareName, 1}, key{}), limit: limits[algorithm], unit: "×",
			})
	}
	return all
}

// refusalBars are about tokens that no signature check is spent on.
func refusalBars(rs results) []bar {
	var all []bar
	for _, name := range []string{garbage, dots, unknownIssuer, wrongAlg, unknownKid} {
		k := key{hostilePart + name, gatehouse().name, 1}
		all = append(all,
			bar{name: "refusal, " + name + ": time", value: rs.nanoseconds(k) / 1000, limit: 5, unit: " µs"},
			bar{name: "refusal, " + name + ": memory", value: rs.bytes(k) / 1024, limit: 4, unit: " KiB"})
	}
	return all
}

// coreBars name what the bare check gains as well: a busy machine has no second
// core to give.
func coreBars(rs results) []bar {
	var all []bar
	for _, algorithm := range algorithms {
		for _, name := range []string{warmName, coldName} {
			all = append(all, bar{
				name:  algorithm + " two cores against one: " + strings.TrimPrefix(name, "Gatehouse, "),
				value: rs.gain(algorithm, name), limit: 1.8, least: true, unit: "×",
				note: fmt.Sprintf("bare signature check %.2f×", rs.gain(algorithm, bareName)),
			})
		}
	}
	return all
}

func scaleBars(rs results) []bar {
	var all []bar
	for _, name := range []string{idleName, issuersName, thousandsName, roomyName} {
		all = append(all, bar{
			name:  name + ", against " + oneName,
			value: rs.ratio(key{scaleGroup, name, 1}, key{scaleGroup, oneName, 1}, key{}), limit: 1.3, unit: "×",
		})
	}
	return all
}
