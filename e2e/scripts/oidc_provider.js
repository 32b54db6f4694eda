// An authorization server: oidc-provider, whose clients each get tokens for the user that TOKENS_FOR names. A client whose
// name begins with jwt- gets tokens that speak for themselves, all others such as must be asked about.
// Says "ready URL" and serves until its input ends.
'use strict';

const crypto = require('node:crypto');
const http = require('node:http');
const { default: Provider } = require('oidc-provider');

const users = JSON.parse(process.env.TOKENS_FOR);
const resource = 'urn:example:mail';
const key = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });

const server = http.createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const base = {
    redirect_uris: [], response_types: [], id_token_signed_response_alg: 'ES256', client_secret: 'of-the-client',
  };
  const bearers = Object.keys(users).map((client_id) => ({
    ...base, client_id, grant_types: ['client_credentials'], scope: 'mail other',
  }));
  const provider = new Provider(issuer, {
    clients: [...bearers, { ...base, client_id: 'post house', client_secret: 'p: %/+&=s', grant_types: [] }],
    jwks: { keys: [{ ...key, kid: 'first', use: 'sig', alg: 'ES256' }] },
    scopes: ['mail', 'other'],
    extraTokenClaims: (ctx, token) => ({ username: users[token.clientId], email: users[token.clientId] }),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => resource,
        getResourceServerInfo: (ctx, indicator, client) => ({
          scope: 'mail other',
          audience: 'mail',
          accessTokenFormat: client.clientId.startsWith('jwt-') ? 'jwt' : 'opaque',
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
  });
  server.on('request', provider.callback());
  process.stdout.write(`ready ${issuer}\n`);
});
process.stdin.resume().on('end', () => process.exit(0));
