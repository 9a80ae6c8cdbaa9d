// Reads requests as JSON from standard input and says what two independent libraries make of each.
// In: [{secret, headers, body}]. Out: [{verified, error, events: [{id, type, ...}] | null}].
import { readFileSync } from "node:fs";
import { HTTP } from "cloudevents";
import { Webhook } from "standardwebhooks";

function verified({ secret, headers, body }) {
  try {
    new Webhook(secret).verify(body, headers);
    return { verified: true, error: null };
  } catch (problem) {
    return { verified: false, error: String(problem.message) };
  }
}

function events({ headers, body }) {
  try {
    const found = HTTP.toEvent({ headers, body });
    return [found].flat().map((event) => event.toJSON());
  } catch {
    return null;
  }
}

const requests = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(requests.map((each) => ({ ...verified(each), events: events(each) }))));
