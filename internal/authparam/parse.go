package authparam

import (
	"errors"
	"fmt"
	"strings"
)

// Parse reads one WWW-Authenticate field value. It refuses whatever a sender
// must not write, so that it can serve as an oracle.
func Parse(header string) ([]Challenge, error) {
	p := parser{rest: header}
	challenges, err := p.challenges()
	if err != nil {
		return nil, fmt.Errorf("authparam: %w at byte %d", err, len(header)-len(p.rest))
	}
	return challenges, nil
}

type parser struct{ rest string }

// challenges reads 1#challenge. The comma separates challenges and parameters
// alike; what follows it tells which (RFC 9110 §11.6.1).
func (p *parser) challenges() ([]Challenge, error) {
	var list []Challenge
	for {
		c, err := p.challenge()
		if err != nil {
			return nil, err
		}
		list = append(list, c)
		if p.rest == "" {
			return list, nil
		}
		if err := p.comma(); err != nil {
			return nil, err
		}
	}
}

// challenge reads auth-scheme [ 1*SP ( token68 / 1#auth-param ) ] and leaves a
// comma that starts the next challenge unread.
func (p *parser) challenge() (Challenge, error) {
	var c Challenge
	if c.Scheme = p.token(); c.Scheme == "" {
		return c, errors.New("no auth-scheme")
	}
	if !strings.HasPrefix(p.rest, " ") {
		return c, p.end()
	}
	// OWS before a comma is not the 1*SP that announces parameters.
	if after := strings.TrimLeft(p.rest, " \t"); strings.HasPrefix(after, ",") {
		return c, nil
	}
	p.rest = strings.TrimLeft(p.rest, " ")
	if n := token68Len(p.rest); n > 0 && endsElement(p.rest[n:]) {
		c.Token68, p.rest = p.rest[:n], p.rest[n:]
		return c, nil
	}
	for {
		param, err := p.param()
		if err != nil {
			return c, err
		}
		if hasParam(c.Params, param.Name) {
			return c, errors.New("parameter twice")
		}
		c.Params = append(c.Params, param)
		if p.rest == "" {
			return c, nil
		}
		after, err := p.afterComma()
		if err != nil {
			return c, err
		}
		// token "=" is a parameter of this challenge, anything else the next one.
		if n := TokenLen(after); n == 0 || !strings.HasPrefix(after[n:], "=") {
			return c, nil
		}
		p.rest = after
	}
}

// param reads token "=" ( token / quoted-string ).
func (p *parser) param() (Param, error) {
	name := p.token()
	if name == "" || !strings.HasPrefix(p.rest, "=") {
		return Param{}, errors.New("no auth-param")
	}
	p.rest = p.rest[1:]
	if !strings.HasPrefix(p.rest, `"`) {
		value := p.token()
		if value == "" {
			return Param{}, errors.New("no parameter value")
		}
		return Param{name, value}, nil
	}
	value, err := p.quoted()
	return Param{name, value}, err
}

// quoted reads a quoted-string (RFC 9110 §5.6.4).
func (p *parser) quoted() (string, error) {
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		c := p.rest[i]
		if c == '"' {
			p.rest = p.rest[i+1:]
			return b.String(), nil
		}
		if c == '\\' {
			if i++; i == len(p.rest) {
				break
			}
			c = p.rest[i]
		}
		if !isText(c) {
			return "", errors.New("control character in quoted-string")
		}
		b.WriteByte(c)
	}
	return "", errors.New("unterminated quoted-string")
}

func (p *parser) token() string {
	n := TokenLen(p.rest)
	token := p.rest[:n]
	p.rest = p.rest[n:]
	return token
}

// end checks that the element ends here.
func (p *parser) end() error {
	if !endsElement(p.rest) {
		return errors.New("unexpected character")
	}
	return nil
}

func (p *parser) comma() error {
	after, err := p.afterComma()
	if err == nil {
		p.rest = after
	}
	return err
}

// afterComma returns what follows OWS "," OWS. An empty element is refused:
// senders must not generate one (RFC 9110 §5.6.1.1).
func (p *parser) afterComma() (string, error) {
	after, found := strings.CutPrefix(strings.TrimLeft(p.rest, " \t"), ",")
	if !found {
		return "", errors.New("no comma")
	}
	after = strings.TrimLeft(after, " \t")
	if after == "" || after[0] == ',' {
		return "", errors.New("empty list element")
	}
	return after, nil
}

// endsElement reports whether rest is empty or goes on with OWS ",".
func endsElement(rest string) bool {
	return rest == "" || strings.HasPrefix(strings.TrimLeft(rest, " \t"), ",")
}

// token68Len returns the length of the token68 that s starts with (RFC 9110
// §11.2), 0 where there is none.
func token68Len(s string) int {
	n := 0
	for n < len(s) && (isAlnum(s[n]) || strings.IndexByte("-._~+/", s[n]) >= 0) {
		n++
	}
	if n == 0 {
		return 0
	}
	for n < len(s) && s[n] == '=' {
		n++
	}
	return n
}
