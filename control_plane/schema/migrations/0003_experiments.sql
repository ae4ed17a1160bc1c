-- What: Experiments with every version they ever had.
-- Why: A rolled-back mutation may need the experiment of that day.
-- Undo: DROP TABLE layout_mutation.experiment_versions, layout_mutation.experiments; (export first: the documents are lost)

CREATE TABLE layout_mutation.experiments (
    id text NOT NULL,
    version integer NOT NULL,
    change bigint NOT NULL,
    deleted boolean NOT NULL DEFAULT false,
    content json NOT NULL,
    CONSTRAINT experiments_pk PRIMARY KEY (id),
    CONSTRAINT experiments_version_positive CHECK (version > 0),
    CONSTRAINT experiments_id_is_in_content CHECK (content ->> 'id' = id)
);
CREATE UNIQUE INDEX experiments_by_change ON layout_mutation.experiments (change);

COMMENT ON TABLE layout_mutation.experiments IS 'The present version of every experiment.';
COMMENT ON COLUMN layout_mutation.experiments.id IS 'Stable id, kept across export, import and federation.';
COMMENT ON COLUMN layout_mutation.experiments.version IS 'Grows by one with every saved change.';
COMMENT ON COLUMN layout_mutation.experiments.change IS 'Number of the last change among all documents; lists are ordered by it.';
COMMENT ON COLUMN layout_mutation.experiments.deleted IS 'No longer there for anybody; kept for its history.';
COMMENT ON COLUMN layout_mutation.experiments.content IS 'The document as rules.model writes it; json and not jsonb, which would reorder keys, and the first variation is the control.';

CREATE TABLE layout_mutation.experiment_versions (
    id text NOT NULL,
    version integer NOT NULL,
    content json NOT NULL,
    action text NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT experiment_versions_pk PRIMARY KEY (id, version),
    CONSTRAINT experiment_versions_of_a_experiment FOREIGN KEY (id) REFERENCES layout_mutation.experiments (id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT experiment_versions_version_positive CHECK (version > 0)
);
CREATE TRIGGER experiment_versions_are_immutable BEFORE UPDATE OR DELETE ON layout_mutation.experiment_versions
    FOR EACH ROW EXECUTE FUNCTION layout_mutation.refuse_change();
CREATE TRIGGER experiment_versions_are_not_emptied BEFORE TRUNCATE ON layout_mutation.experiment_versions
    FOR EACH STATEMENT EXECUTE FUNCTION layout_mutation.refuse_change();

COMMENT ON TABLE layout_mutation.experiment_versions IS 'Every version of every experiment; rows never change.';
COMMENT ON COLUMN layout_mutation.experiment_versions.id IS 'The experiment.';
COMMENT ON COLUMN layout_mutation.experiment_versions.version IS '1 for the first, without gaps.';
COMMENT ON COLUMN layout_mutation.experiment_versions.content IS 'The document as rules.model writes it; json and not jsonb, which would reorder keys, and the first variation is the control.';
COMMENT ON COLUMN layout_mutation.experiment_versions.action IS 'What the change was, for example updated or rolled_back.';
COMMENT ON COLUMN layout_mutation.experiment_versions.actor IS 'Who made the change: the subject of the token.';
COMMENT ON COLUMN layout_mutation.experiment_versions.reason IS 'Why, in the words of the actor; empty if nothing was said.';
COMMENT ON COLUMN layout_mutation.experiment_versions.at IS 'When the change was made.';
