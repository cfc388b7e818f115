-- Enters a day into the book of those that were moved, with the last change of it that was moved.
insert into converting.days (relation, day, row_count, row_hash, moved_through)
values (
    %(relation)s, %(day)s, %(row_count)s, %(row_hash)s,
    (select coalesce(max(l.invalidation_id), 0) from invalidation_log as l where l.relation = %(relation)s and l.day = %(day)s)
)
on conflict (relation, day) do update
    set row_count = excluded.row_count, row_hash = excluded.row_hash, moved_through = excluded.moved_through;
