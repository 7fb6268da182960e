// Verifies access tokens with jose as a resource server does: one line of JSON in, one out.
// Arguments: the address of the JWK Set, the issuer, the audience.
import { createInterface } from "node:readline";
import { createRemoteJWKSet, jwtVerify } from "jose";

const [, , address, issuer, audience] = process.argv;
// By default jose waits 30 seconds before it fetches a set again for a key that it does not know.
const keys = createRemoteJWKSet(new URL(address), { cooldownDuration: 0 });

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    const { payload, protectedHeader } = await jwtVerify(line, keys, {
      issuer,
      audience,
      typ: "at+jwt",
      requiredClaims: ["sub", "exp", "iat", "jti", "client_id"],
    });
    answer = { subject: payload.sub, client: payload.client_id, kid: protectedHeader.kid };
  } catch (error) {
    answer = { code: error.code, claim: error.claim };
  }
  console.log(JSON.stringify(answer));
}
