// The page of a job that goes on: it renews itself, and says so if no news came.

const RELOAD_SECONDS = [2, 3, 5, 10, 15];  // the first pictures come soon
const STALE_RELOAD_SECONDS = 60;

/* `live` says when the page was written and within how many seconds it is written again. */
function watch(live, isBusy) {
  if (!live) return;
  const news = one(".state .news"), resume = one(".resume");
  const count = kept.reloads || 0;
  let due = Date.now() + 1000 * RELOAD_SECONDS[Math.min(count, RELOAD_SECONDS.length - 1)];

  function tell() {
    const age = Math.max(0, Date.now() / 1000 - live.written), stale = age > 3 * live.within;
    news.textContent = stale
      ? "No news for " + duration(age) + ". It may have been stopped."
      : "This page renews itself. Updated " + (age < 2 ? "just now." : duration(age) + " ago.");
    if (resume) resume.hidden = !stale;
    if (stale && !kept.stale) due = Date.now() + 1000 * STALE_RELOAD_SECONDS;
    if (Boolean(kept.stale) !== stale) keep("stale", stale);
    if (stale && !count) keep("reloads", RELOAD_SECONDS.length);
    // Never under the hands of someone who looks closely.
    const busy = isBusy() || document.fullscreenElement || document.hidden || !getSelection().isCollapsed;
    if (Date.now() < due || busy) return;
    keep("reloads", count + 1);
    location.reload();
  }

  tell();
  setInterval(tell, 1000);
}
