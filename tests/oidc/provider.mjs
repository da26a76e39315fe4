// A certified OpenID provider that tests log in at: `node provider.mjs '{"port": …}'`.
//
// Whoever gives a name at its login page is that person; `groups` says which groups they are in.
// Prints its issuer once it listens.

import Provider from "oidc-provider";

const { host, port, secret, clients, groups } = JSON.parse(process.argv[2]);
const issuer = `http://${host}:${port}`;

const provider = new Provider(issuer, {
  clients: Object.entries(clients).map(([client_id, address]) => ({
    client_id,
    client_secret: secret,
    redirect_uris: [address],
    post_logout_redirect_uris: [address],
  })),
  claims: { openid: ["sub"], email: ["email"], profile: ["name", "preferred_username", "groups"] },
  // Groups are read from the ID token.
  conformIdTokenClaims: false,
  findAccount: (_context, id) => ({
    accountId: id,
    claims: () => ({
      sub: id,
      name: id,
      preferred_username: id,
      email: `${id}@example.org`,
      groups: groups[id] ?? [],
    }),
  }),
});

provider.listen(port, host, () => console.log(issuer));
