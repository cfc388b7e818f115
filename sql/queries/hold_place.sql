-- Enters a hold.
insert into holds (name, kind, relation, instrument, from_day, until_day, reason, placed_at, placed_by, expires_at)
values (
    %(name)s, %(kind)s, %(relation)s, %(instrument)s, %(from_day)s, %(until_day)s, %(reason)s, clock_timestamp(), %(placed_by)s,
    %(expires_at)s
)
returning hold_id;
