/*
 * What ACPI tells an operating system of this PC. Processors are in an SSDT that tables.c builds, since their number is
 * known only then. Addresses agree with machine.h; PIRQ routing with dev/pci.h: pin p (INTA = 0) of slot s is PIRQ
 * (s + p) & 7, which is global interrupt 16 + that.
 */
DefinitionBlock ("", "DSDT", 2, "TURNST", "TURNSTIL", 0x00000001)
{
	Scope (\)
	{
		Name (PICM, Zero)
		Method (_PIC, 1, NotSerialized)
		{
			PICM = Arg0
		}
		Name (_S3, Package () { 0x01, 0x01, Zero, Zero })
		Name (_S5, Package () { 0x05, 0x05, Zero, Zero })

		/*
		 * Before S3: memory is to outlive it. An operating system that runs alone has nobody to say so for it, and
		 * who has secrets there keeps others from configuration space. DEV_CR, MemClrDis.
		 */
		Method (_PTS, 1, Serialized)
		{
			If ((Arg0 == 0x03) && ((\_SB.PCI0.NBDC.DEVH & 0xFF) == 0x0F))
			{
				\_SB.PCI0.NBDC.DEVO = 0x0400
				\_SB.PCI0.NBDC.DEVD |= 0x02
			}
		}
	}

	Scope (\_SB)
	{
		Device (PCI0)
		{
			Name (_HID, EisaId ("PNP0A08"))
			Name (_CID, EisaId ("PNP0A03"))
			Name (_SEG, Zero)
			Name (_BBN, Zero)
			Name (_UID, Zero)
			Name (_CRS, ResourceTemplate ()
			{
				WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
					0x0000, 0x0000, 0x00FF, 0x0000, 0x0100)
				IO (Decode16, 0x0CF8, 0x0CF8, 0x01, 0x08)
				WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
					0x0000, 0x0000, 0x0CF7, 0x0000, 0x0CF8)
				WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
					0x0000, 0x0D00, 0xFFFF, 0x0000, 0xF300)
				DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite,
					0x00000000, 0x000A0000, 0x000BFFFF, 0x00000000, 0x00020000)
				DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
					0x00000000, 0xC0000000, 0xFEBFFFFF, 0x00000000, 0x3EC00000)
			})

			/* "_OSC Implementation Example for PCI Host Bridge Devices": nothing beyond the OS's own is granted. */
			Method (_OSC, 4, NotSerialized)
			{
				CreateDWordField (Arg3, Zero, CDW1)
				If (Arg0 == ToUUID ("33db4d5b-1ff7-401c-9657-7441c03dd766"))
				{
					CreateDWordField (Arg3, 0x08, CDW3)
					/* no native hot-plug, no SHPC: there is none; PME, AER and capability control are the OS's */
					CDW3 &= 0x1C
					If (Arg1 != One)
					{
						CDW1 |= 0x08
					}
				}
				Else
				{
					CDW1 |= 0x04
				}
				Return (Arg3)
			}

			#define SLOT(slot, a, b, c, d, ga, gb, gc, gd) \
				Package () { slot, Zero, a, ga }, Package () { slot, 1, b, gb }, \
				Package () { slot, 2, c, gc }, Package () { slot, 3, d, gd }
			#define LINKS(slot, a, b, c, d) \
				SLOT (slot, \_SB.PCI0.LPC.a, \_SB.PCI0.LPC.b, \_SB.PCI0.LPC.c, \_SB.PCI0.LPC.d, 0, 0, 0, 0)
			#define GSIS(slot, a, b, c, d) SLOT (slot, Zero, Zero, Zero, Zero, a, b, c, d)
			#define EIGHT_LINKS(s0, s1, s2, s3, s4, s5, s6, s7) \
				LINKS (s0, LNKA, LNKB, LNKC, LNKD), LINKS (s1, LNKB, LNKC, LNKD, LNKE), \
				LINKS (s2, LNKC, LNKD, LNKE, LNKF), LINKS (s3, LNKD, LNKE, LNKF, LNKG), \
				LINKS (s4, LNKE, LNKF, LNKG, LNKH), LINKS (s5, LNKF, LNKG, LNKH, LNKA), \
				LINKS (s6, LNKG, LNKH, LNKA, LNKB), LINKS (s7, LNKH, LNKA, LNKB, LNKC)
			#define EIGHT_GSIS(s0, s1, s2, s3, s4, s5, s6, s7) \
				GSIS (s0, 16, 17, 18, 19), GSIS (s1, 17, 18, 19, 20), GSIS (s2, 18, 19, 20, 21), \
				GSIS (s3, 19, 20, 21, 22), GSIS (s4, 20, 21, 22, 23), GSIS (s5, 21, 22, 23, 16), \
				GSIS (s6, 22, 23, 16, 17), GSIS (s7, 23, 16, 17, 18)

			Name (PRTP, Package ()
			{
				EIGHT_LINKS (0x0000FFFF, 0x0001FFFF, 0x0002FFFF, 0x0003FFFF, 0x0004FFFF, 0x0005FFFF, 0x0006FFFF, 0x0007FFFF),
				EIGHT_LINKS (0x0008FFFF, 0x0009FFFF, 0x000AFFFF, 0x000BFFFF, 0x000CFFFF, 0x000DFFFF, 0x000EFFFF, 0x000FFFFF),
				EIGHT_LINKS (0x0010FFFF, 0x0011FFFF, 0x0012FFFF, 0x0013FFFF, 0x0014FFFF, 0x0015FFFF, 0x0016FFFF, 0x0017FFFF),
				EIGHT_LINKS (0x0018FFFF, 0x0019FFFF, 0x001AFFFF, 0x001BFFFF, 0x001CFFFF, 0x001DFFFF, 0x001EFFFF, 0x001FFFFF)
			})
			Name (PRTA, Package ()
			{
				EIGHT_GSIS (0x0000FFFF, 0x0001FFFF, 0x0002FFFF, 0x0003FFFF, 0x0004FFFF, 0x0005FFFF, 0x0006FFFF, 0x0007FFFF),
				EIGHT_GSIS (0x0008FFFF, 0x0009FFFF, 0x000AFFFF, 0x000BFFFF, 0x000CFFFF, 0x000DFFFF, 0x000EFFFF, 0x000FFFFF),
				EIGHT_GSIS (0x0010FFFF, 0x0011FFFF, 0x0012FFFF, 0x0013FFFF, 0x0014FFFF, 0x0015FFFF, 0x0016FFFF, 0x0017FFFF),
				EIGHT_GSIS (0x0018FFFF, 0x0019FFFF, 0x001AFFFF, 0x001BFFFF, 0x001CFFFF, 0x001DFFFF, 0x001EFFFF, 0x001FFFFF)
			})
			Method (_PRT, 0, NotSerialized)
			{
				If (PICM)
				{
					Return (PRTA)
				}
				Return (PRTP)
			}

			/* Where there is a northbridge (below \_PTS): the DEV capability block of its function 3. */
			Device (NBDC)
			{
				Name (_ADR, 0x00180003)
				OperationRegion (DEVB, PCI_Config, 0xF0, 0x0C)
				Field (DEVB, DWordAcc, NoLock, Preserve)
				{
					DEVH, 32, DEVO, 32, DEVD, 32
				}
			}

			Device (LPC)
			{
				Name (_ADR, 0x001F0000)
				OperationRegion (PIRQ, PCI_Config, 0x60, 0x0C)
				Field (PIRQ, ByteAcc, NoLock, Preserve)
				{
					PRQA, 8, PRQB, 8, PRQC, 8, PRQD, 8,
					Offset (0x08),
					PRQE, 8, PRQF, 8, PRQG, 8, PRQH, 8
				}

				/* A routing register: bit 7 set disables, bits 3:0 are the 8259 input. */
				Method (LSTA, 1, NotSerialized)
				{
					If (Arg0 & 0x80)
					{
						Return (0x09)
					}
					Return (0x0B)
				}
				Method (LCRS, 1, Serialized)
				{
					Name (RES, ResourceTemplate ()
					{
						Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 0 }
					})
					CreateDWordField (RES, 0x05, IRQN)
					IRQN = (Arg0 & 0x0F)
					Return (RES)
				}
				#define LINK(name, uid, reg) \
					Device (name) \
					{ \
						Name (_HID, EisaId ("PNP0C0F")) \
						Name (_UID, uid) \
						Name (_PRS, ResourceTemplate () \
						{ \
							Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 5, 10, 11 } \
						}) \
						Method (_STA, 0, NotSerialized) { Return (LSTA (reg)) } \
						Method (_DIS, 0, NotSerialized) { reg |= 0x80 } \
						Method (_CRS, 0, NotSerialized) { Return (LCRS (reg)) } \
						Method (_SRS, 1, NotSerialized) \
						{ \
							CreateDWordField (Arg0, 0x05, IRQN) \
							reg = (IRQN & 0x0F) \
						} \
					}
				LINK (LNKA, 0, PRQA)
				LINK (LNKB, 1, PRQB)
				LINK (LNKC, 2, PRQC)
				LINK (LNKD, 3, PRQD)
				LINK (LNKE, 4, PRQE)
				LINK (LNKF, 5, PRQF)
				LINK (LNKG, 6, PRQG)
				LINK (LNKH, 7, PRQH)

				Device (RTC)
				{
					Name (_HID, EisaId ("PNP0B00"))
					Name (_CRS, ResourceTemplate ()
					{
						IO (Decode16, 0x0070, 0x0070, 0x01, 0x02)
						IRQNoFlags () { 8 }
					})
				}
				Device (PS2K)
				{
					Name (_HID, EisaId ("PNP0303"))
					Name (_CRS, ResourceTemplate ()
					{
						IO (Decode16, 0x0060, 0x0060, 0x01, 0x01)
						IO (Decode16, 0x0064, 0x0064, 0x01, 0x01)
						IRQNoFlags () { 1 }
					})
				}
				Device (PS2M)
				{
					Name (_HID, EisaId ("PNP0F13"))
					Name (_CRS, ResourceTemplate ()
					{
						IRQNoFlags () { 12 }
					})
				}
				Device (COM1)
				{
					Name (_HID, EisaId ("PNP0501"))
					Name (_UID, One)
					Name (_CRS, ResourceTemplate ()
					{
						IO (Decode16, 0x03F8, 0x03F8, 0x01, 0x08)
						IRQNoFlags () { 4 }
					})
				}
				Device (COM2)
				{
					Name (_HID, EisaId ("PNP0501"))
					Name (_UID, 2)
					Name (_CRS, ResourceTemplate ()
					{
						IO (Decode16, 0x02F8, 0x02F8, 0x01, 0x08)
						IRQNoFlags () { 3 }
					})
				}
				/* Ports that are taken without being a device of their own. */
				Device (SYSR)
				{
					Name (_HID, EisaId ("PNP0C02"))
					Name (_UID, 2)
					Name (_CRS, ResourceTemplate ()
					{
						IO (Decode16, 0x0020, 0x0020, 0x01, 0x02)
						IO (Decode16, 0x00A0, 0x00A0, 0x01, 0x02)
						IO (Decode16, 0x0040, 0x0040, 0x01, 0x04)
						IO (Decode16, 0x0061, 0x0061, 0x01, 0x01)
						IO (Decode16, 0x0092, 0x0092, 0x01, 0x01)
						IO (Decode16, 0x04D0, 0x04D0, 0x01, 0x02)
						IO (Decode16, 0x0600, 0x0600, 0x01, 0x80)
					})
				}
			}
		}

		/* ECAM: "PCI Express memory-mapped configuration ranges" must be claimed by a motherboard resource. */
		Device (MCFG)
		{
			Name (_HID, EisaId ("PNP0C02"))
			Name (_UID, One)
			Name (_CRS, ResourceTemplate ()
			{
				DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
					0x00000000, 0xB0000000, 0xBFFFFFFF, 0x00000000, 0x10000000)
			})
		}

		Device (HPET)
		{
			Name (_HID, EisaId ("PNP0103"))
			Name (_UID, Zero)
			Name (_CRS, ResourceTemplate ()
			{
				Memory32Fixed (ReadOnly, 0xFED00000, 0x00000400)
			})
		}
	}
}
