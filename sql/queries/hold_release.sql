-- Releases the hold of a name, where it stands.
update holds set
    released_at = clock_timestamp(),
    released_by = %(released_by)s,
    release_reason = %(reason)s
where name = %(name)s and released_at is null
returning hold_id;
