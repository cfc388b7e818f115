-- Frees the name of a hold that ended by itself.
update holds set
    released_at = clock_timestamp(),
    released_by = 'expiry'
where name = %(name)s and released_at is null and expires_at <= clock_timestamp();
