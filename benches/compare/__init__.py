"""What `benches/compare.py` is made of.

    bench      one run: who takes part, in turns
    usual      pgbench against everybody, and idle clients
    machine    what it runs on; who uses its processors
    processes  children: started, watched, ended by their process id
    postgres   a throw-away PostgreSQL server
    scram      a client that can log in, and little else
    contenders what is compared: how each is configured and started
    debian     a newer PgBouncer than the system may have
    peers      other poolers, if there are any
    load       one pgbench run
    memory     what an idle client costs
    statements what many prepared statements cost
    crowd      clients that ask again and again, in a process of their own
    noisy      what a greedy tenant does to quiet ones
    syscalls   how many system calls a transaction takes
    tracing    what counts them
    profile    where the time goes
    groups     by what: parts of the kernel, of pgusher, of libraries
    bulk       large results, COPY, slow readers
    stream     the rows for that
    storm      many logins
    beside     small transactions beside something large
    growth     clients, server connections, tenants: more and more
    svg        what drawings are made of
    plot       the noisy neighbour as a drawing
    growth_plot  how the cost grows, as one
    report     the tables
    page       puts them into docs/performance.md
"""
