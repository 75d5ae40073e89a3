// While the playground is developed nothing is kept: every change shows at the next load. A published one has service-worker.published.js.
