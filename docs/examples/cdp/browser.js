// A cohort event told to Segment or RudderStack by the visitor's own browser, with the message id that Murmuration's own
// delivery has. Whichever comes second is dropped by the platform, so both ways may be used for one source.
//
//   flockrTrack(event, { host: "https://api.segment.io", writeKey: "...", names: { cart_abandoner: "Left a cart" } })
//
// `event` is a cohort event as a webhook brings it to your server, handed on to the page of that visitor.
(function (page) {
  "use strict";

  const ENTERED = "Flockr Cohort Entered";
  const EXITED = "Flockr Cohort Exited";
  // An event that takes another one back is told as the opposite; `supersedes` names the one taken back.
  const NAMES = {
    "cohort.entered": ENTERED,
    "cohort.exited": EXITED,
    "cohort.entry_retracted": EXITED,
    "cohort.exit_retracted": ENTERED,
  };
  const ELSEWHERE = ["cohort_id", "definition_version", "transition_id", "flockr_vid", "external_id", "caused_by"];

  function properties(event, name, names) {
    const data = event.data;
    const told = {
      cohort_id: data.cohort_id,
      cohort_name: names[data.cohort_id.split(":")[0]] || data.cohort_id,
      [name === ENTERED ? "entered_at" : "exited_at"]: event.time,
    };
    for (const [key, value] of Object.entries(data)) {
      if (ELSEWHERE.includes(key) || key.endsWith("_minor") || value === null) continue;
      if (key === "currency") told["cart_total_value" in data ? "cart_currency" : key] = value;
      else told[key] = `${key}_minor` in data ? Number(value) : value;
    }
    return { ...told, evaluation_mode: "batch", schema_version: "1.0" };
  }

  /** The `track` call of a cohort event; null for events of other types. */
  function flockrMessage(event, names = {}) {
    const name = NAMES[event.type];
    if (!name) return null;
    const { flockr_vid: anonymousId, external_id: userId } = event.data;
    return {
      type: "track",
      messageId: event.id,
      ...(anonymousId ? { anonymousId } : {}),
      ...(userId ? { userId } : {}),
      event: name,
      properties: properties(event, name, names),
      timestamp: event.time,
      integrations: {},
    };
  }

  /** Send it; resolves to whether the platform took it. Plain text, so that no browser asks for permission first. */
  async function flockrTrack(event, { host, writeKey, names = {} }) {
    const message = flockrMessage(event, names);
    if (!message) return false;
    const answer = await fetch(`${host}/v1/track`, {
      method: "POST",
      keepalive: true,
      headers: { "Content-Type": "text/plain" },
      body: JSON.stringify({ ...message, writeKey, sentAt: new Date().toISOString() }),
    });
    return answer.ok;
  }

  page.flockrMessage = flockrMessage;
  page.flockrTrack = flockrTrack;
})(globalThis);
