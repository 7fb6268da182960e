// Shows times in the reader's zone, and how long ago or ahead they are. Without it, they are in UTC.
(() => {
  "use strict";
  const tag = document.documentElement.lang;
  const isOurs = (each) => each.split("-")[0] === tag.split("-")[0];
  const locale = navigator.languages.find(isOurs) || tag;
  const absolute = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
  const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
  const units = [
    ["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1],
  ];
  const show = (element) => {
    const when = new Date(element.dateTime);
    const seconds = Math.round((when - Date.now()) / 1000);
    const [unit, size] = units.find((each) => Math.abs(seconds) >= each[1]) || units[5];
    const words = relative.format(Math.round(seconds / size), unit);
    element.title ||= element.textContent;
    element.textContent = document.body.dataset.moment
      .replace("{time}", () => absolute.format(when))
      .replace("{relative}", () => words);
  };
  document.querySelectorAll("time").forEach(show);
  // What is announced when it changes stays as it was.
  const rest = "time:not([role=status] time, [role=alert] time)";
  setInterval(() => document.querySelectorAll(rest).forEach(show), 60000);
})();
