// express-session with connect-redis, as their documentation shows them.
import { RedisStore } from "connect-redis";
import express from "express";
import session from "express-session";
import { createClient } from "redis";

const client = createClient({ url: process.env.REDIS_URL });
await client.connect();

const app = express();
app.use(
  session({
    store: new RedisStore({ client, prefix: "express:" }),
    resave: false,
    saveUninitialized: false,
    secret: process.env.SECRET,
  }),
);

app.post("/login", (request, response) => {
  request.session.subject = "alice";
  response.json({});
});

app.get("/verify", (request, response) => {
  if (request.session.subject === undefined) {
    response.status(401).json({ error: "no session" });
  } else {
    response.json({ subject: request.session.subject });
  }
});

app.post("/logout", (request, response, next) => {
  request.session.destroy((error) => (error ? next(error) : response.json({})));
});

app.listen(Number(process.argv[2]), "127.0.0.1");
