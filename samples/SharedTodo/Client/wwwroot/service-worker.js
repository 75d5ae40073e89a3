// While the sample is developed nothing is kept. A published one has service-worker.published.js.
