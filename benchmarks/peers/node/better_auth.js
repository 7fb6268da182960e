// better-auth on Express with Redis as its secondary storage. Its users are in its memory adapter,
// which a check of a session does not ask; passwords are not hashed, so that logins are quick.
import { redisStorage } from "@better-auth/redis-storage";
import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { fromNodeHeaders } from "better-auth/node";
import express from "express";
import { Redis } from "ioredis";

const port = Number(process.argv[2]);
const credentials = { email: "alice@example.com", password: "any password" };
const auth = betterAuth({
  baseURL: `http://127.0.0.1:${port}`,
  secret: process.env.SECRET,
  database: memoryAdapter({ user: [], session: [], account: [], verification: [] }),
  secondaryStorage: redisStorage({ client: new Redis(process.env.REDIS_URL) }),
  emailAndPassword: {
    enabled: true,
    autoSignIn: false,
    password: { hash: async (password) => password, verify: async () => true },
  },
});
await auth.api.signUpEmail({ body: { name: "Alice", ...credentials } });

const app = express();

app.post("/login", async (_, response) => {
  const { headers } = await auth.api.signInEmail({ body: credentials, returnHeaders: true });
  response.setHeader("set-cookie", headers.getSetCookie());
  response.json({});
});

app.get("/verify", async (request, response) => {
  const found = await auth.api.getSession({ headers: fromNodeHeaders(request.headers) });
  if (found === null) {
    response.status(401).json({ error: "no session" });
  } else {
    response.json({ subject: found.user.email });
  }
});

app.post("/logout", async (request, response) => {
  response.json(await auth.api.signOut({ headers: fromNodeHeaders(request.headers) }));
});

app.listen(port, "127.0.0.1");
