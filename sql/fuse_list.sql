-- The fuses, with the limits of this session's configuration.
-- Parameters: none.
-- Rows: name text, state text ('whole' or 'blown'), counted int8, allowed int8, window_s float8,
--   changed text (RFC 3339), note text. Locks: none. Index: decision_kind_at.
SELECT f.name, f.state, f.counted, f.allowed, f.window_s, ballast.moment(f.changed_at), f.note
  FROM ballast.fuse_states() AS f
