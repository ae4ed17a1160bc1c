-- What: What must happen only once: requests with an idempotency key, and one-time sign-in links.
-- Why: A client that repeats a request after a lost answer must not change things twice; a link must not sign in two people.
-- Undo: DROP TABLE layout_mutation.idempotency_keys, layout_mutation.used_sign_ins;

CREATE TABLE layout_mutation.idempotency_keys (
    actor text NOT NULL,
    key text NOT NULL,
    fingerprint text NOT NULL,
    answer json NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT idempotency_keys_pk PRIMARY KEY (actor, key)
);
CREATE INDEX idempotency_keys_by_age ON layout_mutation.idempotency_keys (at);

CREATE TABLE layout_mutation.used_sign_ins (
    id text NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT used_sign_ins_pk PRIMARY KEY (id)
);
CREATE INDEX used_sign_ins_by_age ON layout_mutation.used_sign_ins (expires_at);

COMMENT ON TABLE layout_mutation.idempotency_keys IS 'Requests that were done and may be repeated without effect.';
COMMENT ON COLUMN layout_mutation.idempotency_keys.actor IS 'Whose key it is: the subject of the token.';
COMMENT ON COLUMN layout_mutation.idempotency_keys.key IS 'The key as the client chose it.';
COMMENT ON COLUMN layout_mutation.idempotency_keys.fingerprint IS 'Digest of the request; another request with this key is refused.';
COMMENT ON COLUMN layout_mutation.idempotency_keys.answer IS 'What came of the request: enough to give the answer again.';
COMMENT ON COLUMN layout_mutation.idempotency_keys.at IS 'When the request was done; old keys are forgotten.';
COMMENT ON TABLE layout_mutation.used_sign_ins IS 'Sign-in links that were used.';
COMMENT ON COLUMN layout_mutation.used_sign_ins.id IS 'The id in the link (jti).';
COMMENT ON COLUMN layout_mutation.used_sign_ins.expires_at IS 'When the link would have ended anyway, so that it can be forgotten.';
