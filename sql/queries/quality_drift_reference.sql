-- Enters a reference.
insert into feature_references (source, set_id, from_time, until_time, as_known_at, mark, made_at, run_id)
values (%(source)s, %(set_id)s, %(from_time)s, %(until_time)s, %(as_known_at)s, %(mark)s, clock_timestamp(), %(run_id)s)
returning reference_id;
