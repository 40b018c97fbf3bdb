//! From the outbox to webhooks: plan, breaker and retry decide (pure), the sender does.
