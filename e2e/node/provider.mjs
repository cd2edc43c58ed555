// A real, certified OpenID provider on loopback for the end-to-end tests.
//
//   node provider.mjs --keys FILE [--port N] [--alg ES256|RS256] [--opaque]
//
// --opaque issues access tokens that only introspection explains. The clients
// "gatehouse", "gatehouse-post" and "gatehouse-key" may ask, each with another
// authentication, and their answers are signed where they accept that. The
// private key of the last one is in client.pem beside FILE. "gatehouse" may
// exchange tokens too.
//
// Prints {"issuer": URL} once it listens. Then it answers each JSON line on
// standard input with one JSON line:
//
//   {"do": "next", "lifetime": N}  the next access token lives N seconds; a
//                                  negative N makes a JWT that has expired
//   {"do": "exchange", "from": A, "to": B, "scope": S}
//                                  tokens for A are exchanged for tokens for B
//                                  with scope S, for "gatehouse"
//   {"do": "log"}                  what happened so far
//
// Ends when standard input closes.
import './runtime.mjs';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { Provider } from 'oidc-provider';
import { actClaim, addTokenExchange, tokenExchange } from './exchange.mjs';
import { emit, endWithStarter } from './runtime.mjs';

const { values: args } = parseArgs({
  options: {
    alg: { type: 'string', default: 'ES256' },
    keys: { type: 'string' },
    opaque: { type: 'boolean', default: false },
    port: { type: 'string', default: '0' },
  },
});

const defaultLifetime = 3600;
let nextLifetime = defaultLifetime;
let exchange = {};
const log = [];

// The keys outlive the process, so that a token issued before an outage is
// still good after it.
function signingKeys(file) {
  if (!existsSync(file)) {
    const keys = [
      { ...jwk('ec', { namedCurve: 'P-256' }), kid: 'e2e-es256', alg: 'ES256', use: 'sig' },
      { ...jwk('rsa', { modulusLength: 2048 }), kid: 'e2e-rs256', alg: 'RS256', use: 'sig' },
    ];
    writeFileSync(file, JSON.stringify({ keys }), { mode: 0o600 });
  }
  return JSON.parse(readFileSync(file, 'utf8'));
}

function jwk(type, options) {
  return generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' });
}

// The public half of the key of "gatehouse-key".
function clientKey() {
  const file = join(dirname(args.keys), 'client.pem');
  if (!existsSync(file)) {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  }
  return createPublicKey(readFileSync(file)).export({ format: 'jwk' });
}

// It holds characters that form-encoding changes (RFC 6749 §2.3.1).
const secret = 'known to everyone: 100%+&=/';

function client(id, metadata) {
  const base = { client_id: id, redirect_uris: [], response_types: [], grant_types: [] };
  return { ...base, introspection_signed_response_alg: args.alg, ...metadata };
}

// Whoever may register may not scan for tokens (RFC 7662 §4).
function mayIntrospect(ctx, { clientId }) {
  const may = clientId.startsWith('gatehouse');
  log.push({ event: 'introspection', detail: may ? undefined : 'by a client that may not' });
  return may;
}

function resourceServer(ctx, resource) {
  return {
    audience: resource,
    scope: 'mcp:tools mcp:admin',
    accessTokenFormat: args.opaque ? 'opaque' : 'jwt',
    jwt: { sign: { alg: args.alg } },
  };
}

function configuration() {
  return {
    jwks: signingKeys(args.keys),
    cookies: { keys: ['e2e'] },
    scopes: ['openid', 'offline_access', 'mcp:tools', 'mcp:admin'],
    pkce: { required: () => true },
    clients: [
      client('machine', { client_secret: secret, grant_types: ['client_credentials'] }),
      client('gatehouse', { client_secret: secret, grant_types: [tokenExchange] }),
      client('gatehouse-post', { client_secret: secret, token_endpoint_auth_method: 'client_secret_post' }),
      client('gatehouse-key', { token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [clientKey()] } }),
    ],
    findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    // MCP clients ask for the scopes of the challenge, and offline_access is
    // never among those.
    issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'),
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true, allowedPolicy: mayIntrospect },
      jwtIntrospection: { enabled: true },
      registration: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: resourceServer,
      },
      revocation: { enabled: true },
    },
    // The TypeScript SDK registers with the scopes of the first challenge; held
    // to these, the client could never step up.
    extraClientMetadata: {
      properties: ['scope'],
      validator: (ctx, key, value, metadata) => { delete metadata.scope; },
    },
    extraTokenClaims: actClaim,
    ttl: {
      AccessToken: () => Math.max(nextLifetime, 1),
      ClientCredentials: () => Math.max(nextLifetime, 1),
      Grant: defaultLifetime,
      IdToken: defaultLifetime,
      Interaction: defaultLifetime,
      RefreshToken: defaultLifetime,
      Session: defaultLifetime,
    },
    formats: {
      customizers: {
        jwt(ctx, token, jwt) {
          if (nextLifetime < 0) {
            jwt.payload.exp = Math.floor(Date.now() / 1000) + nextLifetime;
            jwt.payload.iat = jwt.payload.exp - 60;
          }
        },
      },
    },
  };
}

// Logs the user in and consents to whatever the client asked for, at once.
async function approve(provider, req, res) {
  const { prompt, params, session, grantId } = await provider.interactionDetails(req, res);
  if (prompt.name === 'login') {
    return provider.interactionFinished(req, res, { login: { accountId: 'alice' } });
  }
  const grant = (grantId && await provider.Grant.find(grantId))
    || new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  const { missingOIDCScope = [], missingResourceScopes = {} } = prompt.details;
  grant.addOIDCScope(missingOIDCScope.join(' '));
  for (const [resource, scopes] of Object.entries(missingResourceScopes)) {
    grant.addResourceScope(resource, scopes.join(' '));
  }
  const consent = { grantId: await grant.save() };
  return provider.interactionFinished(req, res, { consent }, { mergeWithLastSubmission: true });
}

function record(provider) {
  provider.on('registration_create.success', () => log.push({ event: 'registration' }));
  provider.on('grant.success', ({ oidc }) => {
    nextLifetime = defaultLifetime;
    const { AccessToken, ClientCredentials } = oidc.entities;
    const token = AccessToken ?? ClientCredentials;
    log.push({ event: oidc.params.grant_type, scope: token.scope, audience: token.aud });
  });
  for (const failure of ['registration_create.error', 'authorization.error', 'grant.error', 'server_error']) {
    provider.on(failure, (ctx, error) => log.push({ event: failure, detail: `${error.message}: ${error.error_description}` }));
  }
}

function answer({ do: command, lifetime, ...order }) {
  switch (command) {
    case 'next':
      nextLifetime = lifetime;
      return {};
    case 'exchange':
      exchange = order;
      return {};
    case 'log':
      return { log };
    default:
      return { error: `no such command: ${command}` };
  }
}

// The issuer is the address, so the socket comes first.
const server = createServer();
server.listen(Number(args.port), '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, configuration());
  addTokenExchange(provider, resourceServer, () => exchange);
  const oidc = provider.callback();
  record(provider);
  server.on('request', (req, res) => {
    if (!req.url.startsWith('/interaction/')) {
      oidc(req, res);
      return;
    }
    approve(provider, req, res).catch((error) => {
      console.error(error);
      res.writeHead(500).end();
    });
  });
  createInterface({ input: process.stdin }).on('line', (line) => emit(answer(JSON.parse(line))));
  endWithStarter();
  emit({ issuer });
});
