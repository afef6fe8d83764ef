"""The bus between the processes of a head-end: work goes out over NATS JetStream, and what came
of it comes back. Who collects over it has no store, and who dies gives its work to others."""
