# Disconnect control and limiter: what they do, and who may make them do it.
