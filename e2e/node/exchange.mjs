// Token exchange (RFC 8693) for oidc-provider, which has none, by its interface for
// grant types. One order says which resource's tokens are traded for which.
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { errors } from 'oidc-provider';

export const tokenExchange = 'urn:ietf:params:oauth:grant-type:token-exchange';
const accessToken = 'urn:ietf:params:oauth:token-type:access_token';

// actClaim names who acts for the user: whoever exchanged (RFC 8693 §4.1).
export function actClaim({ oidc }) {
  return oidc.params?.grant_type === tokenExchange ? { act: { sub: oidc.client.clientId } } : undefined;
}

// addTokenExchange registers the grant. order() is {from, to, scope}.
export function addTokenExchange(provider, serverInfo, order) {
  const keys = createRemoteJWKSet(new URL(provider.urlFor('jwks')));

  // A JWT is not stored, and only its signature speaks for it.
  async function subjectOf(text) {
    if (text.includes('.')) {
      const { payload } = await jwtVerify(text, keys, { issuer: provider.issuer, typ: 'at+jwt' });
      return payload;
    }
    const token = await provider.AccessToken.find(text);
    return token && { sub: token.accountId, aud: token.aud, exp: token.exp };
  }

  provider.registerGrantType(tokenExchange, async (ctx) => {
    const { client, params } = ctx.oidc;
    const { from, to, scope } = order();
    if (params.requested_token_type !== accessToken || params.subject_token_type !== accessToken || !params.subject_token) {
      throw new errors.InvalidRequest('access tokens only');
    }
    const subject = await subjectOf(params.subject_token).catch(() => undefined);
    if (!subject || subject.aud !== from) {
      throw new errors.InvalidGrant('subject_token is not a good token for the client');
    }
    if (params.resource !== to) {
      throw new errors.InvalidTarget('resource is not one that the client may call');
    }
    if (params.scope !== scope) {
      throw new errors.InvalidScope('scope is not what the client may ask for', params.scope);
    }
    const token = new provider.AccessToken({
      accountId: subject.sub,
      client,
      scope,
      expiresIn: subject.exp - Math.floor(Date.now() / 1000),
      resourceServer: new provider.ResourceServer(to, serverInfo(ctx, to)),
    });
    ctx.oidc.entity('AccessToken', token);
    ctx.body = {
      access_token: await token.save(),
      issued_token_type: accessToken,
      token_type: token.tokenType,
      expires_in: token.expiration,
      scope,
    };
  }, ['subject_token', 'subject_token_type', 'requested_token_type', 'resource', 'scope']);
}
