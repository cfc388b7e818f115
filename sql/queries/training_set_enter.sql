-- Enters a training set, unless another run did just now; answers its number.
insert into training_sets (name, spec_sha256, as_known_at, content_sha256, row_count, manifest, hold, made_at, made_by)
values (
    %(name)s, %(spec_sha256)s, %(as_known_at)s, %(content_sha256)s, %(row_count)s, %(manifest)s, %(hold)s, clock_timestamp(), %(made_by)s
)
on conflict (spec_sha256, as_known_at) do nothing
returning set_id;
