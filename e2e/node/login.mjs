// The part of the person: opens the authorization URL, follows every redirect
// with cookies as a browser does, and stops at the client's own redirect URI.

const maxRedirects = 20;

export async function login(authorizationUrl, redirectUri) {
  const cookies = new Map();
  let url = new URL(authorizationUrl);
  for (let hop = 0; hop < maxRedirects; hop += 1) {
    const response = await fetch(url, {
      redirect: 'manual',
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
    });
    await response.body?.cancel();
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      if (value) {
        cookies.set(name, value);
      } else {
        cookies.delete(name);
      }
    }
    const location = response.headers.get('location');
    if (!location) {
      throw new Error(`login stopped at ${url.origin}${url.pathname} with status ${response.status}`);
    }
    url = new URL(location, url);
    if (url.href.startsWith(redirectUri)) {
      return url.searchParams;
    }
  }
  throw new Error('login did not end: too many redirects');
}
