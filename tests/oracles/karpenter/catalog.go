package main

import (
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/karpenter/pkg/apis/v1"
	"sigs.k8s.io/karpenter/pkg/cloudprovider"
	"sigs.k8s.io/karpenter/pkg/scheduling"
	"sigs.k8s.io/yaml"
)

// Catalog is Plimsoll's NodeCatalog, with what is needed here.
type Catalog struct {
	APIVersion string          `json:"apiVersion"`
	Kind       string          `json:"kind"`
	Metadata   CatalogMetadata `json:"metadata"`
	Spec       CatalogSpec     `json:"spec"`
}

// CatalogMetadata names a catalog.
type CatalogMetadata struct {
	Name string `json:"name"`
}

// CatalogSpec lists what can be bought.
type CatalogSpec struct {
	Offers []Offer `json:"offers"`
}

// Offer is one type of node in the zones it is sold in.
type Offer struct {
	Name         string              `json:"name"`
	Zones        []string            `json:"zones"`
	CapacityType string              `json:"capacityType"`
	PricePerHour float64             `json:"pricePerHour"`
	Allocatable  corev1.ResourceList `json:"allocatable"`
}

func readCatalog(path string) (Catalog, error) {
	var catalog Catalog
	text, err := os.ReadFile(path)
	if err == nil {
		err = yaml.UnmarshalStrict(text, &catalog)
	}
	return catalog, err
}

// instanceTypes are Karpenter's view of the catalog. What pods may ask for is stated, so nothing is taken off.
// Offers of one name, such as spot and on-demand, are one type.
func (c Catalog) instanceTypes() ([]*cloudprovider.InstanceType, error) {
	var types []*cloudprovider.InstanceType
	byName := map[string]*cloudprovider.InstanceType{}
	for _, offer := range c.Spec.Offers {
		known, found := byName[offer.Name]
		if !found {
			known = &cloudprovider.InstanceType{
				Name:     offer.Name,
				Capacity: offer.Allocatable,
				Overhead: &cloudprovider.InstanceTypeOverhead{},
			}
			byName[offer.Name] = known
			types = append(types, known)
		} else if !sameAmounts(known.Capacity, offer.Allocatable) {
			return nil, fmt.Errorf("offers called %s differ in size", offer.Name)
		}
		for _, zone := range offer.Zones {
			known.Offerings = append(known.Offerings, &cloudprovider.Offering{
				Available: true,
				Price:     offer.PricePerHour,
				Requirements: scheduling.NewLabelRequirements(map[string]string{
					v1.CapacityTypeLabelKey:  offer.CapacityType,
					corev1.LabelTopologyZone: zone,
				}),
			})
		}
	}
	for _, known := range types {
		known.Requirements = requirements(known)
	}
	return types, nil
}

// requirements are the labels that nodes of a type can have.
func requirements(known *cloudprovider.InstanceType) scheduling.Requirements {
	var zones, capacityTypes []string
	for _, offering := range known.Offerings {
		zones = append(zones, offering.Zone())
		capacityTypes = append(capacityTypes, offering.CapacityType())
	}
	in := corev1.NodeSelectorOpIn
	return scheduling.NewRequirements(
		scheduling.NewRequirement(corev1.LabelInstanceTypeStable, in, known.Name),
		scheduling.NewRequirement(corev1.LabelArchStable, in, v1.ArchitectureAmd64),
		scheduling.NewRequirement(corev1.LabelOSStable, in, string(corev1.Linux)),
		scheduling.NewRequirement(corev1.LabelTopologyZone, in, zones...),
		scheduling.NewRequirement(v1.CapacityTypeLabelKey, in, capacityTypes...),
	)
}

func sameAmounts(a, b corev1.ResourceList) bool {
	if len(a) != len(b) {
		return false
	}
	for name, amount := range a {
		other, found := b[name]
		if !found || amount.Cmp(other) != 0 {
			return false
		}
	}
	return true
}
