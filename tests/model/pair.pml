/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The roles of a pair: who may be primary, who may commit, who may answer a read. Rules R1 … R20
 * of roles.md, with each step that a crash can fall into as a step of its own. README.md of this
 * folder says what is modelled and what is not; run_model.py runs it.
 *
 * Two nodes; frames lost, duplicated, reordered, delayed without bound; a log that reaches the disk
 * entry by entry, later; a pair record R that is changed by compare-and-set (CAS), which may take
 * effect late, also after its sender has died, and whose answer may be lost. One process that
 * chooses among all enabled actions. Safety only.
 *
 * Bounds
 *   NID=2        requests (and so the longest log: 2 or 3)
 *   MAXCRASH=2   crashes in a run, of either node
 *   MAXT=5       highest epoch
 *   SLOTS=2      frames in flight
 * Rules
 *   DISKSYNC=1   R2D: acknowledged means durable on both (0 = R2M: both have it in memory)
 *   N1           primary-continues: R is on the primary's disk, no promotion, a standby gives up
 *   N2           standby-takes-over: each has a copy of R, the right to change it moves from disk
 *                to disk, the primary never goes alone by itself
 *   HAND         with N1: hand-over, for which the right moves as in N2
 *   DISK         a standby or a PAIRED primary may step down because its disk hangs
 *   NOLEAVE      with N2: a standby keeps the right as long as it is one
 *   CLEAN        a node may also stop in good order (R7; counts as a crash in MAXCRASH)
 *   ROT          once, at a start, the newest of the two copies of a role record is found damaged
 *                and the older one counts; not for N1 without HAND
 *   ONEWRITE     with N2 and ROT: relinquishing and the mode PAIRED are one write of the record
 *   BOTHCOPIES   with ROT: what gives the right away is written to both copies before it is told
 *   NOR20        without R20: a BLOCKED primary never resumes
 *   NOREADS      without reads
 *   REACH=n      reachability: the run must report a violation, else the model is vacuous; see init
 * Mutants, each of which drops one rule
 *   MUT_BOTH        no record: primary goes alone, standby promotes, both on silence
 *   MUT_ACKCAND     a candidate goes on acknowledging and answering echoes until it serves
 *   MUT_ECHOCAND    a candidate answers echoes until it serves, but acknowledges no update
 *   MUT_ACKPRIM     a node answers echoes whatever its role and epoch
 *   MUT_READNOECHO  a read in PAIRED is answered without an echo
 *   MUT_OLDACK      acknowledgements of any epoch count
 *   MUT_AMNESIA     a standby that lost its memory is a standby still
 *   MUT_ADMIT       admitted before it caught up
 *   MUT_ADMIT_EARLY ADMIT is sent before the admit move is known (N2: before relinquishing is
 *                   synced)
 *   MUT_NOBARRIER   serves before its log is on disk
 *   MUT_RECORD_BEFORE_LOG   the barrier writes the role record ALONE before it syncs the log
 *   MUT_ALONEMEM    alone, commits from memory
 *   MUT_SAMETERM    a restarted lone primary goes on in its old epoch
 *   MUT_LASTPRIM    after a total restart the last primary serves its own log at once
 *   MUT_MERGE_SHORT the merge keeps the own log though the peer's is newer
 *   MUT_BLOCKOFF    commits and sequences while its admit CAS is unknown
 *   MUT_ABANDON     an issued admit CAS is forgotten after R was read unchanged; it may land later
 *   MUT_ABANDON_CAND  likewise the promote CAS: the candidate is a standby again
 *   MUT_ABANDON_NOTED  likewise the admit CAS, and when it is seen to have landed after all ADMIT
 *                   goes out with the index noted when it was issued
 *   MUT_NOLEARN     a CAS that was sent counts as one that took place (R12)
 *   MUT_MERGE_UNSYNCED  the merge CAS is issued before the log is on disk, and there is no barrier
 *   MUT_N2_TWO_HOLDERS  the old holder hands out the right without giving it up
 *   MUT_HAND_TWO_HOLDERS  likewise at hand-over in N1
 *   MUT_GIVE_TOLD_FIRST  a standby that leaves tells that it gives the right away before that is
 *                   synced
 *   MUT_TAKE_AT_ONCE  who is given the right begins to serve whatever it has lost
 *   MUT_DISK_DROPS  who steps down because of its disk drops what is not on it yet
 *   MUT_DISK_VOTES  who steps down because of its disk does not count as one without memory
 */
#ifndef DISKSYNC
#define DISKSYNC 0
#endif
#ifndef MAXCRASH
#define MAXCRASH 2
#endif
#ifndef MAXT
#define MAXT 5
#endif
#ifndef NID
#define NID 2
#endif
#ifndef SLOTS
#define SLOTS 2
#endif
#ifndef REACH
#define REACH 0
#endif
#define L NID

/* Roles. From RESTART to REC the node wants, or has, R = {itself} and does not serve yet. */
#define DOWN 0
#define WAIT 1
#define LEARN 2
#define STBY 3
#define CAND 4	  /* promote CAS issued */
#define MERGE 5	  /* has taken the peer's log if that is newer; not yet synced */
#define RESTART 6 /* restart or merge CAS issued */
#define BAR 7	  /* learned R = (term, self, {self}): the log is being synced */
#define REC 8	  /* the role record says ALONE; serves next */
#define DUO 9	  /* PAIRED */
#define BLKA 10	  /* BLOCKED: go-alone CAS issued (N2: waits for the right) */
#define BLKD 11	  /* BLOCKED: admit CAS issued */
#define ALONE 12
#define PRIMARY(n) (role[n] >= DUO)

/* Mode in the role record on disk. */
#define PNONE 0 /* blank, learner, amnesiac */
#define PSTBY 1
#define PDUO 2
#define PALONE 3

/* Frames: type, source, index, id of the entry, epoch. */
#define REPL 1
#define ACK 2
#define ADMIT 3
#define FRAME(type, src, index, id, t) ((type) + ((src) << 3) + ((index) << 4) + ((id) << 6) + ((t) << 8))
#define TYPE(f) ((f) & 7)
#define SRC(f) (((f) >> 3) & 1)
#define INDEX(f) (((f) >> 4) & 3)
#define ID(f) (((f) >> 6) & 3)
#define EPOCH(f) ((f) >> 8)

byte role[2], term[2];
byte ln[2], dln[2];		/* length of the log, and of its part on disk */
byte log[2 * L], lt[2 * L];	/* request and epoch of each entry */
byte acki[2];			/* a primary's: what the peer acknowledged */
byte pterm[2], pmode[2];	/* role record */
bit amn[2];			/* R7, of a node in WAIT */
byte rd[2];			/* a stale read: 1 begun, 2 echoed by the peer */
byte pc[2];			/* CAS in flight, on R as it is: bit 0 to {self}, bit 1 to both */
short m[SLOTS];			/* frames, sorted; a duplicate needs no slot of its own */
byte used, ncrash;
byte gc, g[L];			/* ghost: the acknowledged requests, in order */
byte i, x, y; /* scratch, zero between steps */
short f;

/* The pair record: one cell, or one copy on each node's disk with its holder. */
#if defined(N2) || defined(HAND)
#define COPIES
byte rt[2], rp[2], ri[2], hv[2];
#ifdef ROT
byte ort[2], orp[2], ori[2], ohv[2];
#endif
#define X(n) (n)
#define MAY(n) (hv[n] == (n)) /* may change R */
#else
byte rt[1], rp[1], ri[1];
#define X(n) 0
#ifdef N1
#define MAY(n) (rp[0] == (n))
#else
#define MAY(n) (1)
#endif
#endif
#if defined(N1) || defined(N2)
#define LOCAL /* a CAS is a write to the own disk: it does not outlive its node */
#endif
#define RT(n) rt[X(n)]
#define RP(n) rp[X(n)]
#define RI(n) ri[X(n)]
#if defined(N2) && !defined(NOLEAVE)
#define GIVES(n) (role[n] == WAIT || role[n] == STBY)
#else
#define GIVES(n) (role[n] == WAIT && amn[n])
#endif
#define O(n) (1 - (n))
#define BIT(n) (1 << (n))
#define RIS(n, t, p, s) (RT(n) == (t) && RP(n) == (p) && RI(n) == (s))
#ifdef MUT_NOLEARN
#define TAKEN(n) (role[n] != DUO && (pc[n] & 1) && RT(n) == term[n])
#define NEW_EPOCH(n) (term[n] + 1)
#else
#define TAKEN(n) RIS(n, term[n] + 1, n, BIT(n)) /* my move to {self} took place */
#define NEW_EPOCH(n) RT(n)
#endif

#define LOG(n, j) log[(n)*L + (j)]
#define LT(n, j) lt[(n)*L + (j)]
#if NID == 2
#define SAME(n, upto) (((upto) < 1 || LOG(n, 0) == g[0]) && ((upto) < 2 || LOG(n, 1) == g[1]))
#else
#define SAME(n, upto)                                                                              \
	(((upto) < 1 || LOG(n, 0) == g[0]) && ((upto) < 2 || LOG(n, 1) == g[1]) &&                 \
	 ((upto) < 3 || LOG(n, 2) == g[2]))
#endif
#define HOLDS(n) (ln[n] >= gc && SAME(n, gc))
#define ONDISK(n) (dln[n] >= gc && SAME(n, gc))
/* A crash after which no copy of something acknowledged is left is excused: not explored. */
#define EXCUSED(n)                                                                                 \
	(HOLDS(n) && !ONDISK(n) &&                                                                 \
	 !((role[O(n)] != DOWN && HOLDS(O(n))) || (role[O(n)] == DOWN && ONDISK(O(n)))))
/* The peer's log is newer than mine: last epoch, then length. */
#define LAST(n) (ln[n] == 0 -> 0 : LT(n, ln[n] - 1))
#define NEWER(o, n) (LAST(o) > LAST(n) || (LAST(o) == LAST(n) && ln[o] > ln[n]))

#if DISKSYNC
#define PAIRED_UPTO(n) (acki[n] < dln[n] -> acki[n] : dln[n])
#define ACKED(n) dln[n]
#else
#define PAIRED_UPTO(n) acki[n]
#define ACKED(n) (role[n] == LEARN -> dln[n] : ln[n])
#endif
#ifdef MUT_ALONEMEM
#define ALONE_UPTO(n) ln[n]
#else
#define ALONE_UPTO(n) dln[n]
#endif
#ifdef MUT_ACKCAND
#define FOLLOWS(n, t)                                                                              \
	(((role[n] == STBY || role[n] == LEARN || role[n] == CAND) && term[n] == (t)) ||           \
	 ((role[n] == BAR || role[n] == REC) && term[n] == (t) + 1))
#else
#define FOLLOWS(n, t) ((role[n] == STBY || role[n] == LEARN) && term[n] == (t))
#endif
#ifdef MUT_ACKPRIM
#define ECHOES(n, t) (role[n] != DOWN)
#elif defined(MUT_ECHOCAND)
#define ECHOES(n, t)                                                                               \
	((role[n] == STBY && term[n] == (t)) || (role[n] == CAND && term[n] == (t)) ||             \
	 ((role[n] == BAR || role[n] == REC) && term[n] == (t) + 1))
#else
#define ECHOES(n, t) (FOLLOWS(n, t) && role[n] != LEARN)
#endif
#ifdef MUT_OLDACK
#define THIS_EPOCH(f, n) (1)
#else
#define THIS_EPOCH(f, n) (EPOCH(f) == term[n])
#endif
#ifdef MUT_ADMIT
#define CAUGHT_UP(n) (1)
#else
#define CAUGHT_UP(n) (acki[n] == ln[n])
#endif
#if defined(MUT_ADMIT) || defined(MUT_BLOCKOFF) || defined(MUT_ABANDON_NOTED)
#define ADMIT_AT(n) acki[n] /* as it was when the CAS was issued */
#else
#define ADMIT_AT(n) ln[n]
#endif
#ifdef ROT
bit rotten;
byte opmode[2], opterm[2]; /* the older copy of the role record */
#endif
#ifdef CLEAN
bit clean[2];
#ifdef ROT
bit oclean[2];
#endif
#define STOPPED_CLEAN(n) clean[n]
#else
#define STOPPED_CLEAN(n) (0)
#endif
/* R7: does its log hold whatever it acknowledged? */
#define BOOTS_WHOLE(n) (pmode[n] != PNONE && (DISKSYNC || STOPPED_CLEAN(n) || pmode[n] == PALONE))
/* R11: may it restart without its peer? */
#define WHOLE(n) (!amn[n] && RP(n) == (n) && RI(n) == BIT(n) && pmode[n] == PALONE && pterm[n] == RT(n))
/* The move to {n} was not learned: nothing was served in its epoch, all from before is here. */
#define UNLEARNED(n)                                                                               \
	(!amn[n] && (pmode[n] == PDUO || pmode[n] == PALONE) && RP(n) == (n) &&                    \
	 RI(n) == BIT(n) && pterm[n] + 1 == RT(n))
#define COMPLETE(n)                                                                                \
	(WHOLE(n) || UNLEARNED(n) ||                                                               \
	 (!amn[n] && pmode[n] != PNONE && RI(n) == 3 && pterm[n] == RT(n)) ||                      \
	 (DISKSYNC && !amn[n] && pmode[n] != PNONE && RP(n) == (n) && RI(n) == BIT(n)))

/* Before each write of n's role record. */
inline save(n)
{
#ifdef ROT
	opmode[n] = pmode[n]; opterm[n] = pterm[n];
#ifdef CLEAN
	oclean[n] = clean[n];
#endif
#ifdef COPIES
	ort[n] = rt[n]; orp[n] = rp[n]; ori[n] = ri[n]; ohv[n] = hv[n];
#endif
#endif
	skip
}

inline sort()
{
	i = 1;
	do
	:: i < SLOTS ->
		if
		:: m[i] > m[i - 1] -> f = m[i]; m[i] = m[i - 1]; m[i - 1] = f; i = 0
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 0; f = 0
}

inline send(frame) /* no free slot: lost */
{
	f = (frame); i = 0;
	do
	:: i < SLOTS && m[i] != 0 && m[i] != f -> i++
	:: else -> break
	od;
	if
	:: i < SLOTS -> m[i] = f
	:: else
	fi;
	sort()
}

inline prune() /* a frame that nobody can accept any more is as good as lost */
{
#if !defined(MUT_OLDACK) && !defined(MUT_ACKCAND)
	i = 0;
	do
	:: i < SLOTS ->
		f = m[i]; y = O(SRC(f));
		if
		:: TYPE(f) == ACK && term[y] != EPOCH(f) -> m[i] = 0
		:: TYPE(f) == REPL && term[y] != EPOCH(f) && term[SRC(f)] != EPOCH(f) &&
		   !(role[y] == LEARN && term[y] + 1 == EPOCH(f)) -> m[i] = 0
		:: TYPE(f) == ADMIT && term[y] + 1 != EPOCH(f) && term[SRC(f)] != EPOCH(f) -> m[i] = 0
		:: else
		fi;
		i++
	:: else -> break
	od;
	sort(); y = 0
#else
	skip
#endif
}

inline commit(n, upto) /* clients are answered for all entries below upto */
{
	assert(ln[n] >= (upto));
	i = 0;
	do
	:: i < (upto) ->
		if
		:: i < gc -> assert(LOG(n, i) == g[i])
		:: else -> g[i] = LOG(n, i); gc = i + 1
		fi;
		i++
	:: else -> break
	od;
	i = 0;
	assert(ln[n] >= gc)
}

inline append(n) /* the lowest request that it does not have yet, or an other one in use */
{
	LOG(n, ln[n]) = x; LT(n, ln[n]) = term[n]; ln[n] = ln[n] + 1;
	if
	:: used < x -> used = x
	:: else
	fi;
	send(FRAME(REPL, n, ln[n], x, term[n]));
	x = 0
}
#if NID == 2
#define HAS(n, id) (LOG(n, 0) == (id) || LOG(n, 1) == (id))
#else
#define HAS(n, id) (LOG(n, 0) == (id) || LOG(n, 1) == (id) || LOG(n, 2) == (id))
#endif
#define WANTS(n, id) (ln[n] < L && used + 1 >= (id) && !HAS(n, id))

inline stepdown(n) /* R10; the role record follows later */
{
	role[n] = WAIT; term[n] = 0; acki[n] = 0; rd[n] = 0; amn[n] = 1;
	prune()
}

inline forget(n)
{
	i = dln[n];
	do
	:: i < ln[n] -> LOG(n, i) = 0; LT(n, i) = 0; i++
	:: else -> break
	od;
	i = 0;
	ln[n] = dln[n]
}

/* A disk that hangs: nothing becomes durable for as long as spin likes, here and before. What is
   in memory stays, and may become durable yet, until a primary has it cut. */
inline leave_role(n)
{
	stepdown(n);
#ifdef MUT_DISK_VOTES
	amn[n] = 0;
#endif
#ifdef MUT_DISK_DROPS
	forget(n);
#endif
	skip
}

inline crash(n)
{
	ncrash++;
	forget(n);
	role[n] = DOWN; term[n] = 0; acki[n] = 0; amn[n] = 0; rd[n] = 0;
#ifdef LOCAL
	pc[n] = 0;
#endif
	prune()
}

/* n cuts its log, also on disk, to the last common entry and gets the rest of from's in memory. */
inline take(from, n)
{
	i = 0;
	do
	:: i < ln[n] && i < ln[from] && LOG(n, i) == LOG(from, i) && LT(n, i) == LT(from, i) -> i++
	:: else -> break
	od;
	if
	:: dln[n] > i -> dln[n] = i
	:: else
	fi;
	i = 0;
	do
	:: i < L -> LOG(n, i) = LOG(from, i); LT(n, i) = LT(from, i); i++
	:: else -> break
	od;
	i = 0;
	ln[n] = ln[from]
}

inline issue(n, what)
{
	if
	:: MAY(n) && RT(n) == term[n] -> pc[n] = pc[n] | (what)
	:: else /* R has moved on: it would fail */
	fi
}

inline land(n, s) /* every CAS in flight was on the old value */
{
#ifdef COPIES
	save(n);
#else
	pc[O(n)] = 0;
#endif
	RT(n) = RT(n) + 1; RP(n) = n; RI(n) = s; pc[n] = 0
}

inline acts(n)
{
	if
	/* ---- the path of an update */
	:: d_step { (role[n] == DUO || role[n] == ALONE) && WANTS(n, 1) -> x = 1; append(n) }
	:: d_step { (role[n] == DUO || role[n] == ALONE) && WANTS(n, 2) -> x = 2; append(n) }
#if NID > 2
	:: d_step { (role[n] == DUO || role[n] == ALONE) && WANTS(n, 3) -> x = 3; append(n) }
#endif
	:: d_step { PRIMARY(n) && acki[n] < ln[n] ->
		send(FRAME(REPL, n, acki[n] + 1, LOG(n, acki[n]), term[n])) }
	:: d_step { role[n] != DOWN && dln[n] < ln[n] -> dln[n] = dln[n] + 1 }
	:: d_step { role[n] == DUO && (PAIRED_UPTO(n) > gc || !SAME(n, PAIRED_UPTO(n))) ->
		y = PAIRED_UPTO(n); commit(n, y); y = 0 }
	:: d_step { role[n] == ALONE && (ALONE_UPTO(n) > gc || !SAME(n, ALONE_UPTO(n))) ->
		commit(n, ALONE_UPTO(n)) }
#ifdef MUT_BLOCKOFF
	:: d_step { role[n] == BLKD && (dln[n] > gc || !SAME(n, dln[n])) -> commit(n, dln[n]) }
	:: d_step { role[n] == BLKD && WANTS(n, 1) -> x = 1; append(n) }
	:: d_step { role[n] == BLKD && WANTS(n, 2) -> x = 2; append(n) }
#endif
	/* ---- reads (inv. 28). Only one that would be too old if answered is of interest: it
	   begins when something acknowledged is not in the log of the node that is asked. */
#ifndef NOREADS
	:: d_step { role[n] == ALONE && !HOLDS(n) -> assert(false) /* answered at once */ }
	:: d_step { role[n] == DUO && rd[n] == 0 && !HOLDS(n) -> rd[n] = 1 }
	:: d_step { rd[n] == 1 && ECHOES(O(n), term[n]) -> rd[n] = 2 }
#ifdef MUT_READNOECHO
	:: d_step { rd[n] == 1 && role[n] == DUO -> assert(false) }
#endif
	:: d_step { (rd[n] == 2 && role[n] == DUO) || (rd[n] != 0 && role[n] == ALONE) -> assert(false) }
#endif
	/* ---- lost peer (R4): BLOCKED at once, CAS, learn, barrier */
#ifdef MUT_BOTH
	:: d_step { role[n] == DUO && term[n] < MAXT -> term[n] = term[n] + 1; role[n] = BAR; acki[n] = 0 }
	:: d_step { role[n] == STBY && term[n] < MAXT -> term[n] = term[n] + 1; role[n] = BAR }
#endif
	:: d_step { role[n] == DUO -> role[n] = BLKA;
#ifndef N2
		issue(n, 1)
#endif
		}
#ifndef NOR20
	/* R20. Modelled wider than the rule: it need not even have heard the standby. What was
	   issued stays in flight; if it took place the node learns it below. */
	:: d_step { role[n] == BLKA -> role[n] = DUO }
#endif
	/* ---- lost primary (R5): from here on it acknowledges nothing */
#ifndef N1
	:: d_step { role[n] == STBY && MAY(n) && RIS(n, term[n], O(n), 3) -> role[n] = CAND; issue(n, 1) }
#endif
#ifdef MUT_ABANDON_CAND
	:: d_step { role[n] == CAND -> role[n] = STBY }
#endif
#ifdef N1
	:: d_step { role[n] == STBY -> stepdown(n) }
#endif
	/* ---- the disk hangs. Wider than the rule for a primary: at any time, under any policy, also
	   while its CAS is in flight, and without having read R. */
#ifdef DISK
	:: d_step { role[n] == STBY || role[n] == DUO -> leave_role(n) }
#endif
	/* ---- the CAS takes place; may be long after its sender died */
	:: d_step { (pc[n] & 1) && MAY(n) && RT(n) < MAXT -> land(n, BIT(n)) }
	:: d_step { (pc[n] & 2) && MAY(n) && RT(n) < MAXT -> land(n, 3);
#if defined(N2) && !defined(MUT_N2_TWO_HOLDERS)
		hv[n] = O(n); /* in the same write: relinquished */
#ifdef ONEWRITE
		pterm[n] = RT(n); pmode[n] = PDUO;
#endif
#ifdef BOTHCOPIES
		save(n);
#endif
#endif
		}
	/* ---- R was read: my move took place */
	:: d_step { TAKEN(n) && (role[n] == CAND || role[n] == RESTART || role[n] == BLKA || role[n] == DUO
#if defined(MUT_ABANDON_CAND) || defined(HAND)
		|| role[n] == STBY
#endif
		) -> role[n] = BAR; term[n] = NEW_EPOCH(n); acki[n] = 0; prune() }
	/* ---- barrier (inv. 12): log, then role record, then service */
#if defined(MUT_NOBARRIER) || defined(MUT_RECORD_BEFORE_LOG)
	:: d_step { role[n] == BAR -> save(n); pterm[n] = term[n]; pmode[n] = PALONE; role[n] = REC }
#else
	:: d_step { role[n] == BAR && dln[n] == ln[n] -> save(n); pterm[n] = term[n]; pmode[n] = PALONE; role[n] = REC }
#endif
#ifdef MUT_RECORD_BEFORE_LOG
	:: d_step { role[n] == REC && dln[n] == ln[n] -> role[n] = ALONE; assert(HOLDS(n)) }
#else
	:: d_step { role[n] == REC -> role[n] = ALONE; assert(HOLDS(n)) }
#endif
	/* ---- R was read: it excludes this node, or has overtaken it */
	:: d_step { role[n] >= STBY && RT(n) > term[n] && RP(n) == O(n) -> stepdown(n) }
	:: d_step { (role[n] == MERGE && RT(n) != term[n]) ||
		(role[n] == RESTART && RT(n) != term[n] && !TAKEN(n)) -> stepdown(n) }
	:: d_step { role[n] == LEARN -> stepdown(n) }
	/* ---- learner (R8): in memory first, it acknowledges what is on its disk */
	:: d_step { role[n] == ALONE && role[O(n)] == WAIT ->
		save(O(n)); take(n, O(n)); role[O(n)] = LEARN; term[O(n)] = term[n];
		amn[O(n)] = 0; pmode[O(n)] = PNONE; pterm[O(n)] = 0; acki[n] = 0; prune() }
	/* ---- admission (R9) */
	:: d_step { role[n] == ALONE && CAUGHT_UP(n) && RT(n) < MAXT &&
		(role[O(n)] == LEARN || acki[n] > 0 /* it may have died since */) -> role[n] = BLKD; issue(n, 2) }
#ifdef MUT_ADMIT_EARLY
	:: d_step { role[n] == BLKD && RT(n) == term[n] -> send(FRAME(ADMIT, n, ln[n], 0, term[n] + 1));
#ifdef N2
		if :: role[O(n)] == LEARN -> rt[O(n)] = rt[n] + 1; rp[O(n)] = n; ri[O(n)] = 3; hv[O(n)] = O(n)
		   :: else fi
#endif
		}
#endif
#if defined(MUT_ABANDON_NOTED)
	:: d_step { role[n] == ALONE && RIS(n, term[n] + 1, n, 3) -> role[n] = BLKD }
#endif
#if defined(MUT_ABANDON) || defined(MUT_ABANDON_NOTED)
	:: d_step { role[n] == BLKD && RT(n) == term[n] -> role[n] = ALONE }
#endif
	:: d_step { role[n] == BLKD && RIS(n, term[n] + 1, n, 3) ->
#ifndef ONEWRITE
		save(n);
#endif
		term[n] = RT(n); pterm[n] = term[n]; pmode[n] = PDUO; role[n] = DUO; prune();
		send(FRAME(ADMIT, n, ADMIT_AT(n), 0, term[n])) }
	:: d_step { role[n] == DUO && role[O(n)] == LEARN -> send(FRAME(ADMIT, n, ADMIT_AT(n), 0, term[n])) }
#ifdef COPIES
	/* ---- the other's record is heard, perhaps by a frame that was sent before it died, and with
	   it the right; one write to the own disk */
	:: d_step { role[n] != DOWN && (RT(O(n)) > RT(n) ||
		(RT(O(n)) == RT(n) && hv[O(n)] == n && hv[n] != n)) ->
		save(n); RT(n) = RT(O(n)); RP(n) = RP(O(n)); RI(n) = RI(O(n)); pc[n] = 0;
#ifdef MUT_N2_TWO_HOLDERS
		hv[n] = (RI(n) == 3 -> O(RP(n)) : hv[O(n)])
#else
		hv[n] = hv[O(n)]
#endif
		}
	/* ---- a holder gives the right away: in WAIT because it has lost its memory, or because the
	   other looks as if it could use it (N2); as a standby that is to leave (N2), and then it
	   stays one, which acknowledges in its epoch until it hears of a higher one */
	:: d_step { GIVES(n) && MAY(n) && RP(n) == O(n) && RI(n) == 3 && RT(n) < MAXT ->
		save(n); RT(n) = RT(n) + 1; RI(n) = BIT(O(n)); pc[n] = 0; hv[n] = O(n);
#ifdef BOTHCOPIES
		save(n)
#endif
		}
#ifdef MUT_GIVE_TOLD_FIRST
	:: d_step { role[n] == STBY && RIS(n, term[n], O(n), 3) && RIS(O(n), term[n], O(n), 3) && RT(n) < MAXT ->
		save(O(n)); rt[O(n)] = rt[n] + 1; ri[O(n)] = BIT(O(n)); hv[O(n)] = O(n) }
#endif
#ifdef MUT_TAKE_AT_ONCE
	:: d_step { role[n] == WAIT && MAY(n) && RP(n) == n && RI(n) == BIT(n) ->
		role[n] = BAR; term[n] = RT(n); amn[n] = 0 }
#endif
#ifdef HAND
	/* ---- hand-over (R16): drained, names the standby and gives it the right. Modelled wider
	   than the rule: it goes on in PAIRED until it notices. */
	:: d_step { role[n] == DUO && MAY(n) && pc[n] == 0 && acki[n] == ln[n] && RIS(n, term[n], n, 3) && RT(n) < MAXT ->
#ifdef MUT_HAND_TWO_HOLDERS
		RT(O(n)) = RT(n) + 1; RP(O(n)) = O(n); RI(O(n)) = BIT(O(n)); hv[O(n)] = O(n)
#else
		save(n); RT(n) = RT(n) + 1; RP(n) = O(n); RI(n) = BIT(O(n)); hv[n] = O(n);
#ifdef BOTHCOPIES
		save(n)
#endif
#endif
		}
#endif
#endif
	/* ---- crash and start */
	:: d_step { role[n] != DOWN && ncrash < MAXCRASH && !EXCUSED(n) -> crash(n) }
#ifdef CLEAN
	:: d_step { role[n] != DOWN && ncrash < MAXCRASH && dln[n] == ln[n] ->
		save(n); if :: amn[n] -> pmode[n] = PNONE; pterm[n] = 0 :: else fi;
		crash(n); clean[n] = 1 }
#endif
#ifdef ROT
	:: d_step { role[n] == DOWN && !rotten -> rotten = 1; pmode[n] = opmode[n]; pterm[n] = opterm[n];
#ifdef CLEAN
		clean[n] = oclean[n];
#endif
#ifdef COPIES
		rt[n] = ort[n]; rp[n] = orp[n]; ri[n] = ori[n]; hv[n] = ohv[n];
#endif
		}
#endif
	:: d_step { role[n] == DOWN -> role[n] = WAIT; save(n);
		if :: BOOTS_WHOLE(n) -> skip
#ifdef MUT_AMNESIA
		   :: pmode[n] == PSTBY -> role[n] = STBY; term[n] = pterm[n]
#endif
		   :: else -> amn[n] = 1; pmode[n] = PNONE; pterm[n] = 0 fi;
#ifdef CLEAN
		clean[n] = 0
#endif
		}
	/* ---- restart without the peer (R11), in a new epoch */
#ifdef MUT_SAMETERM
	:: d_step { role[n] == WAIT && WHOLE(n) -> role[n] = ALONE; term[n] = RT(n); assert(HOLDS(n)) }
#else
	:: d_step { role[n] == WAIT && MAY(n) && COMPLETE(n) && RT(n) < MAXT ->
		role[n] = RESTART; term[n] = RT(n); amn[n] = 0; issue(n, 1) }
#endif
#ifdef MUT_LASTPRIM
	:: d_step { role[n] == WAIT && MAY(n) && RP(n) == n && RT(n) < MAXT ->
		role[n] = RESTART; term[n] = RT(n); amn[n] = 0; issue(n, 1) }
#endif
	/* ---- merge: take the newer log, sync it, CAS, learn, barrier */
	:: d_step { role[n] == WAIT && role[O(n)] == WAIT && MAY(n) && RP(n) == n && !COMPLETE(n) && RT(n) < MAXT ->
#ifndef MUT_MERGE_SHORT
		if :: NEWER(O(n), n) -> take(O(n), n) :: else fi;
#endif
		role[n] = MERGE; term[n] = RT(n); amn[n] = 0 }
#ifdef MUT_MERGE_UNSYNCED
	:: d_step { role[n] == MERGE && RT(n) == term[n] -> role[n] = RESTART; issue(n, 1) }
	:: d_step { role[n] == RESTART && TAKEN(n) ->
		term[n] = RT(n); pterm[n] = term[n]; pmode[n] = PALONE; role[n] = REC }
#endif
	/* one that needs no merge, or may not make the move yet, begins it all the same */
	:: d_step { role[n] == WAIT && role[O(n)] == WAIT && RP(n) == n && NEWER(O(n), n) &&
		(COMPLETE(n) || !MAY(n)) -> take(O(n), n) }
	:: d_step { role[n] == MERGE && RT(n) == term[n] && dln[n] == ln[n] -> role[n] = RESTART; issue(n, 1) }
	fi
}

/* The frame in slot s arrives. It stays in flight: a duplicate may follow. */
#define RCV(s) O(SRC(m[s]))
inline arrive(s)
{
	if
	:: d_step { TYPE(m[s]) == REPL && FOLLOWS(RCV(s), EPOCH(m[s])) ->
		x = RCV(s);
		if
		:: INDEX(m[s]) == ln[x] + 1 ->
			LOG(x, ln[x]) = ID(m[s]); LT(x, ln[x]) = EPOCH(m[s]); ln[x] = ln[x] + 1
		:: else
		fi;
		y = ACKED(x);
		if
		:: y >= INDEX(m[s]) -> f = EPOCH(m[s]); send(FRAME(ACK, x, y, 0, f))
		:: else
		fi;
		x = 0; y = 0 }
	:: d_step { TYPE(m[s]) == ACK && PRIMARY(RCV(s)) && THIS_EPOCH(m[s], RCV(s)) &&
		INDEX(m[s]) > acki[RCV(s)] && INDEX(m[s]) <= ln[RCV(s)] -> acki[RCV(s)] = INDEX(m[s]) }
	:: d_step { TYPE(m[s]) == ADMIT && role[RCV(s)] == LEARN && EPOCH(m[s]) == term[RCV(s)] + 1 &&
#ifdef MUT_ADMIT
		ln[RCV(s)] >= INDEX(m[s])
#else
		ln[RCV(s)] == INDEX(m[s]) && dln[RCV(s)] == ln[RCV(s)]
#endif
		-> x = RCV(s); save(x);
		term[x] = EPOCH(m[s]); pterm[x] = term[x]; pmode[x] = PSTBY; role[x] = STBY; x = 0; prune() }
	:: d_step { m[s] != 0 -> m[s] = 0; sort() }
	fi
}

init {
	d_step { /* A primary, B its standby, epoch 1, no entry yet */
		term[0] = 1; term[1] = 1; role[0] = DUO; role[1] = STBY;
		pterm[0] = 1; pterm[1] = 1; pmode[0] = PDUO; pmode[1] = PSTBY;
		RT(0) = 1; RP(0) = 0; RI(0) = 3;
#ifdef COPIES
		RT(1) = 1; RP(1) = 0; RI(1) = 3;
#ifdef N2
		hv[0] = 1; hv[1] = 1;
#endif
#endif
		save(0); save(1)
	};
	do
#if REACH == 1 /* everything acknowledged, two crashes, roles exchanged, paired again */
	:: d_step { gc == NID && RT(1) >= 4 && role[1] == DUO && role[0] == STBY && term[0] == term[1] && ncrash == 2 -> assert(false) }
#endif
#if REACH == 2 /* R20: commits in PAIRED(t) while R is already (t + 1, P, {P}) */
	:: d_step { gc == NID && role[0] == DUO && TAKEN(0) && role[1] == STBY -> assert(false) }
#endif
#if REACH == 3 /* a zombie primary was asked for what another one acknowledged */
	:: d_step { rd[0] == 1 && role[0] == DUO && role[1] == ALONE -> assert(false) }
#endif
#if REACH == 4 /* a merge that takes over what only the peer's memory has, the peer gone again */
	:: d_step { gc > 0 && role[0] == MERGE && dln[0] < gc && ln[0] >= gc && role[1] == DOWN -> assert(false) }
#endif
#if REACH == 5 /* a CAS that took place after its sender's death, and a second merge for it */
	:: d_step { pc[0] == 1 && role[0] == DOWN && RT(0) == 2 && RP(0) == 0 && gc == NID -> assert(false) }
#endif
#if REACH == 6 /* paired again, in roles exchanged, under any policy */
	:: d_step { gc > 0 && role[1] == DUO && role[0] == STBY && term[0] == term[1] -> assert(false) }
#endif
#if REACH == 7 /* N2, N1: same roles, paired again after a crash */
	:: d_step { gc == NID && ncrash > 0 && role[0] == DUO && role[1] == STBY && term[0] == term[1] && term[0] > 1 -> assert(false) }
#endif
#if REACH == 8 /* a primary that stepped down alive, R unchanged; its standby takes over */
	:: d_step { gc == NID && ncrash == 0 && role[0] == WAIT && RT(0) == 1 && role[1] == CAND -> assert(false) }
#endif
#if REACH == 9 /* paired again, the same roles, by two moves, and nobody died */
	:: d_step { gc == NID && ncrash == 0 && role[0] == DUO && role[1] == STBY && term[0] == 3 && term[1] == 3 -> assert(false) }
#endif
#if REACH == 10 /* N2: the right is given, the standby acknowledges yet; the other has not heard of it */
	:: d_step { gc == NID && role[0] == DUO && hv[0] == 1 && role[1] == STBY && RT(1) > term[1] && hv[1] == 0 -> assert(false) }
#endif
#if REACH == 11 /* a primary that hears nobody: its standby takes over with its frames still arriving */
	:: d_step { ncrash == 0 && role[0] == DUO && role[1] == CAND && TYPE(m[0]) == REPL && SRC(m[0]) == 0 &&
		INDEX(m[0]) == ln[1] + 1 && EPOCH(m[0]) == term[1] -> assert(false) }
#endif
	:: acts(0)
	:: acts(1)
	:: arrive(0)
#if SLOTS > 1
	:: arrive(1)
#endif
#if SLOTS > 2
	:: arrive(2)
#endif
	od
}
